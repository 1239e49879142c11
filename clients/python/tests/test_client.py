"""The client against a real gateway: TWOTOWER_ADDRESS says where it is, TWOTOWER_USER names a user with a history.

Nothing that others may look at is changed: what is recorded is of users that the tests make up and delete.
"""

from __future__ import annotations

import itertools
import os
import unittest
import uuid

import grpc
import numpy as np
from numpy.typing import NDArray

from twotower import (
    Blend,
    Candidates,
    Client,
    Diversity,
    Event,
    Filter,
    Item,
    Recall,
    RecallError,
    TwoTowerError,
    has_id,
    keyword_in,
    number_range,
)

UNKNOWN_ITEM = 2**63 + 5


class ClientTest(unittest.TestCase):
    user: str
    client: Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.user = os.environ["TWOTOWER_USER"]
        cls.client = Client(os.environ["TWOTOWER_ADDRESS"], timeout=10)
        cls.addClassCleanup(cls.client.close)

    def best(self, count: int) -> Recall:
        """The user's best items, equal in every bit from call to call."""
        return self.client.recall(user_id=self.user, page_size=count, exact=True, reproducible=True, with_item=True)

    def seen(self) -> NDArray[np.uint64]:
        """The items of the user's newest events, oldest first."""
        return np.array([event.item for event in self.client.user(self.user).history], np.uint64)

    def new_user(self) -> str:
        """A user of whom nothing is stored, and nothing will be after the test."""
        user = f"python-{uuid.uuid4()}"
        self.addCleanup(self.client.delete_user, user)
        return user

    def assert_refused(self, error: TwoTowerError, field: str) -> None:
        """Checks that an error is the caller's, and names the field."""
        self.assertIs(error.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(error.reason, "INVALID_FIELD")
        self.assertIn(field, str(error))
        self.assertFalse(error.is_temporary)

    def test_a_recall_has_columns_of_numpy_and_says_what_it_covers(self) -> None:
        recall = self.client.recall(user_id=self.user, page_size=7)
        self.assertEqual(recall.ids.dtype, np.uint64)
        self.assertEqual(recall.scores.dtype, np.float32)
        self.assertEqual(recall.interests.dtype, np.uint32)
        columns = (recall.ids, recall.scores, recall.interests, recall.sources, recall.items)
        self.assertEqual([len(column) for column in columns], [7] * 5)
        self.assertEqual(len(np.unique(recall.ids)), 7)
        self.assertTrue(np.all(np.diff(recall.scores) <= 0), recall.scores)
        self.assertLessEqual(set(recall.sources), {"ANN", "EXACT", "FRESH"})
        self.assertEqual(recall.items, [None] * 7)
        self.assertEqual((recall.degraded, recall.cold_start, recall.variant), ([], False, "SERVING"))
        self.assertEqual((recall.next_page_token, recall.recall_token), ("", ""))
        self.assertEqual(recall.coverage.shards_answered, recall.coverage.shards_total)
        self.assertGreater(recall.coverage.fraction, 0)
        self.assertGreater(recall.timings.total, 0)
        serving = [generation for generation in self.client.generations() if generation.serving]
        self.assertEqual([(of.id, of.space) for of in serving], [(recall.generation, recall.space)])

    def test_items_come_with_titles_and_features_where_they_are_asked_for(self) -> None:
        best = self.best(3)
        self.assertEqual([item.id for item in described(best)], best.ids.tolist())
        for item in described(best):
            self.assertTrue(item.title)
            self.assertTrue(item.features)

    def test_filters_hold_of_every_item(self) -> None:
        first = described(self.best(1))[0]
        genre, year = first.features["genres"], first.features["year"]
        assert isinstance(genre, list) and isinstance(year, float)
        like_first = [keyword_in("genres", genre[:1]), number_range("year", year - 1, year + 1)]
        filtered = self.client.recall(user_id=self.user, filter=Filter(must=like_first), exact=True, with_item=True)
        self.assertIn(first.id, filtered.ids)
        for item in described(filtered):
            found, when = item.features["genres"], item.features["year"]
            assert isinstance(found, list) and isinstance(when, float)
            self.assertIn(genre[0], found)
            self.assertLessEqual(abs(when - year), 1)

    def test_filters_by_id_take_numpy_integers(self) -> None:
        best = self.best(4)
        among = Filter(should=[has_id(best.ids[:2]), has_id(best.ids[2:])], must_not=[has_id(best.ids[1:2])])
        filtered = self.client.recall(user_id=self.user, filter=among, exact=True, reproducible=True)
        self.assertEqual(filtered.ids.tolist(), best.ids[[0, 2, 3]].tolist())

    def test_excluded_and_seen_items_are_left_out(self) -> None:
        best = self.best(4)
        rest = self.client.recall(user_id=self.user, page_size=1_000, exclude=best.ids[:2])
        self.assertFalse(np.isin(best.ids[:2], rest.ids).any())
        self.assertFalse(np.isin(self.seen(), rest.ids).any())
        everything = self.client.recall(user_id=self.user, page_size=1_000, exclude_seen=False)
        self.assertTrue(np.isin(self.seen(), everything.ids).any())

    def test_a_user_may_be_described_instead_of_stored(self) -> None:
        told = self.client.recall(history=self.seen(), features={}, page_size=5)
        self.assertFalse(told.cold_start)
        self.assertFalse(np.isin(self.seen(), told.ids).any())

    def test_nothing_is_known_of_a_stranger(self) -> None:
        stranger = self.client.recall(user_id=f"python-{uuid.uuid4()}", page_size=3)
        self.assertTrue(stranger.cold_start)
        self.assertEqual(len(stranger.ids), 3)

    def test_pages_go_on_where_the_last_one_ended(self) -> None:
        pages = list(itertools.islice(self.client.pages(user_id=self.user, page_size=10, exact=True), 3))
        ids = np.concatenate([page.ids for page in pages])
        self.assertEqual(len(np.unique(ids)), 30)
        self.assertEqual(len({page.generation for page in pages}), 1)
        whole = self.client.recall(user_id=self.user, page_size=30, exact=True, with_tokens=True)
        self.assertEqual(ids.tolist(), whole.ids.tolist())

    def test_pages_end(self) -> None:
        best = self.best(5)
        among = Filter(must=[has_id(best.ids)])
        pages = list(self.client.pages(user_id=self.user, page_size=2, filter=among, exact=True))
        self.assertEqual([id for page in pages for id in page.ids], best.ids.tolist())
        self.assertEqual(pages[-1].next_page_token, "")

    def test_each_recall_of_a_batch_has_its_own_answer(self) -> None:
        answered, refused = self.client.recall_many(
            [{"user_id": self.user, "page_size": 3}, {"user_id": self.user, "page_size": 1_001}]
        )
        assert isinstance(answered, Recall) and isinstance(refused, RecallError)
        self.assertEqual(len(answered.ids), 3)
        self.assert_refused(refused, "page_size")

    def test_a_recall_that_brings_the_token_includes_what_was_recorded(self) -> None:
        user, item = self.new_user(), self.best(1).ids[0]
        recorded = self.client.record([Event(item, user_id=user, type="click")])
        self.assertEqual((recorded.recorded, recorded.duplicates), (1, 0))
        token = recorded.consistency_token
        recall = self.client.recall(user_id=user, page_size=1_000, consistency_token=token)
        self.assertFalse(recall.cold_start)
        self.assertNotIn("STALE_HISTORY", recall.degraded)
        self.assertNotIn(item, recall.ids)

    def test_an_event_recorded_twice_is_one(self) -> None:
        user, item = self.new_user(), self.best(1).ids[0]
        self.client.record([Event(item, user_id=user, type="click")])
        stored = self.client.user(user)
        self.assertEqual([event.item for event in stored.history], [item])
        self.assertEqual((stored.profile, stored.seen_items), (None, 1))
        (event,) = stored.history
        self.assertEqual(uuid.UUID(event.event_id).version, 7)
        again = Event(item, user, event.type, event.value, event.time, event.event_id)
        self.assertEqual(self.client.record([again]).duplicates, 1)

    def test_a_profile_is_stored_and_deleted(self) -> None:
        user = self.new_user()
        stored = self.client.put_profile(user, {"occupation": "writer", "shoe": np.float32(42), "likes": ["a", "b"]})
        self.assertIn("shoe", stored.unread_features)
        profile = {"occupation": "writer", "shoe": 42.0, "likes": ["a", "b"]}
        self.assertEqual(self.client.user(user).profile, profile)
        self.assertTrue(self.client.delete_user(user).profile)
        self.assertIsNone(self.client.user(user).profile)

    def test_similar_items_are_others(self) -> None:
        named = self.best(2).ids
        similar = self.client.similar(named, page_size=5, with_item=True)
        self.assertEqual(len(similar.ids), 5)
        self.assertFalse(np.isin(named, similar.ids).any())
        self.assertTrue(np.all(np.diff(similar.scores) <= 0), similar.scores)
        self.assertLessEqual(set(similar.interests.tolist()), {0, 1})
        self.assertTrue(all(item.title for item in described(similar)))
        self.assertEqual(similar.missing, [])
        self.assertGreater(similar.coverage.fraction, 0)

    def test_scores_are_those_of_a_recall(self) -> None:
        best = self.best(5)
        items = [UNKNOWN_ITEM, *best.ids[::-1]]
        scores = self.client.score(items, user_id=self.user, reproducible=True)
        self.assertEqual(scores.ids.tolist(), best.ids.tolist())
        np.testing.assert_allclose(scores.scores, best.scores, rtol=1e-5)
        self.assertEqual(scores.missing, [UNKNOWN_ITEM])
        self.assertEqual((scores.generation, scores.cold_start), (best.generation, False))

    def test_explanations_tell_the_place_and_the_reasons(self) -> None:
        best = self.best(5)
        explained = self.client.explain(user_id=self.user, page_size=5, exact=True, with_item=True, reasons=2)
        first = len(explained.explanations)
        self.assertIn(first, range(1, 6))
        self.assertEqual([found.id for found in explained.explanations], best.ids[:first].tolist())
        self.assertEqual([found.rank for found in explained.explanations], list(range(1, first + 1)))
        for found in explained.explanations:
            self.assertIn(len(found.reasons), (1, 2))
            for reason in found.reasons:
                self.assertTrue(reason.item.title)
                self.assertLessEqual(abs(reason.similarity), 1.001)
        named = self.client.explain(items=[best.ids[2], UNKNOWN_ITEM], user_id=self.user, exact=True)
        self.assertEqual([found.rank for found in named.explanations], [3])
        self.assertEqual(named.missing, [UNKNOWN_ITEM])

    def test_a_replay_is_identical(self) -> None:
        recall = self.client.recall(user_id=self.user, page_size=10, with_tokens=True)
        replay = self.client.replay(recall.recall_token, user_id=self.user, page_size=10)
        self.assertTrue(replay.identical)
        self.assertEqual(replay.overlap, 1)
        self.assertEqual(replay.answer.ids.tolist(), recall.ids.tolist())
        self.assertEqual(replay.answer.scores.tolist(), recall.scores.tolist())
        self.assertEqual((len(replay.entered), len(replay.left)), (0, 0))

    def test_a_cap_bounds_how_many_candidates_have_one_value(self) -> None:
        capped = self.client.recall(
            user_id=self.user,
            page_size=8,
            with_item=True,
            diversity=Diversity(caps={"year": 1}, mmr_lambda=0.7),
        )
        years = [item.features["year"] for item in described(capped)]
        self.assertEqual(len(years), 8)
        self.assertEqual(len(set(years)), 8)

    def test_popular_items_have_places_after_the_others(self) -> None:
        blended = self.client.recall(user_id=self.user, page_size=6, blend=Blend(popular=2))
        self.assertEqual(len(np.unique(blended.ids)), 6)
        self.assertNotIn("POPULAR", blended.sources[:4])
        self.assertEqual(blended.sources[4:], ["POPULAR", "POPULAR"])

    def test_popular_items_are_listed_most_popular_first(self) -> None:
        popular = self.client.popular(5)
        self.assertEqual((popular.ids.dtype, popular.counts.dtype), (np.uint64, np.uint64))
        self.assertEqual(len(popular.ids), 5)
        self.assertEqual(popular.counts.tolist(), sorted(popular.counts.tolist(), reverse=True))
        among = self.client.popular(5, filter=Filter(must=[has_id(popular.ids[3:])]))
        self.assertEqual((among.ids.tolist(), among.eligible), (popular.ids[3:].tolist(), 2))

    def test_items_are_read_in_the_order_asked(self) -> None:
        wanted = self.best(3).ids[::-1]
        found = self.client.items([*wanted, UNKNOWN_ITEM])
        self.assertEqual([item.id for item in found.items], wanted.tolist())
        self.assertEqual(found.missing, [UNKNOWN_ITEM])

    def test_a_field_out_of_its_bounds_is_named(self) -> None:
        with self.assertRaises(TwoTowerError) as raised:
            self.client.recall(user_id=self.user, page_size=1_001)
        self.assert_refused(raised.exception, "page_size")
        self.assertIn("1001", raised.exception.fields["page_size"])

    def test_a_generation_that_is_nowhere_is_refused_with_its_reason(self) -> None:
        with self.assertRaises(TwoTowerError) as raised:
            self.client.recall(user_id=self.user, generation="20000101T000000Z-00000000")
        self.assertIs(raised.exception.code, grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(raised.exception.reason, "GENERATION_NOT_HELD")


def described(found: Candidates) -> list[Item]:
    """The items of an answer that was asked for titles and features."""
    return [item for item in found.items if item is not None]
