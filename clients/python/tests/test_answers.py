"""Answers are read as they stand on the wire, and what a caller gives is written as it must stand there."""

from __future__ import annotations

import pickle
import unittest

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration

from twotower import Blend, Diversity, Event, Filter, Item, RecallError, has_id, keyword_in, number_range
from twotower.explanations import read_explained
from twotower.query import recall_request
from twotower.recalls import read_replay, read_result
from twotower.traffic import read_traffic, read_verdict
from twotower.wire import catalog_pb2, features_pb2, filter_pb2, recall_pb2, traffic_pb2


def text(value: str) -> features_pb2.FeatureValue:
    return features_pb2.FeatureValue(text=value)


class AnswersTest(unittest.TestCase):
    def test_what_the_server_cannot_tell_of_a_reason_is_none(self) -> None:
        told = recall_pb2.Reason(item=catalog_pb2.Item(id=3), similarity=0.5, attention=0.0, score_without=-1.0, rank_without=9)
        untold = recall_pb2.Reason(item=catalog_pb2.Item(id=4))
        candidate = recall_pb2.Candidate(id=7, score=0.5, interest=1, source=recall_pb2.SOURCE_EXACT)
        explanation = recall_pb2.Explanation(candidate=candidate, rank=2, reasons=[told, untold])
        missing = [features_pb2.ItemRef(id=8), features_pb2.ItemRef(key="eight")]
        answer = recall_pb2.ExplainRecallResponse(explanations=[explanation], missing=missing, generation="g")
        explained = read_explained(answer)
        (found,) = explained.explanations
        self.assertEqual((found.id, found.score, found.interest, found.source), (7, 0.5, 1, "EXACT"))
        self.assertEqual((found.rank, found.item), (2, None))
        first, second = found.reasons
        self.assertEqual((first.item.id, first.attention, first.score_without, first.rank_without), (3, 0, -1, 9))
        self.assertEqual((second.attention, second.score_without), (None, None))
        self.assertEqual((explained.missing, explained.generation), ([8, "eight"], "g"))

    def test_a_replay_tells_what_changed(self) -> None:
        again = recall_pb2.RecallResponse(degraded_reasons=[recall_pb2.DEGRADED_REASON_STALE_HISTORY, 99])  # type: ignore[list-item]
        replay = read_replay(recall_pb2.ReplayRecallResponse(answer=again, overlap=0.5, entered=[2**64 - 1], left=[1, 2]))
        self.assertEqual((replay.identical, replay.overlap), (False, 0.5))
        self.assertEqual((replay.entered.dtype, replay.entered.tolist()), (np.uint64, [2**64 - 1]))
        self.assertEqual(replay.left.tolist(), [1, 2])
        self.assertEqual(replay.answer.degraded, ["STALE_HISTORY", "99"])

    def test_a_failure_of_a_batch_is_an_error_that_can_be_raised_and_sent_on(self) -> None:
        failure = recall_pb2.RecallFailure(
            code=8, message="not now", reason="OVERLOADED", retry_after=Duration(nanos=20_000_000)
        )
        error = read_result(recall_pb2.RecallResult(failure=failure))
        assert isinstance(error, RecallError)
        self.assertEqual((error.code, error.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"))
        self.assertEqual((error.retry_after, error.is_temporary), (0.02, True))
        self.assertEqual(str(pickle.loads(pickle.dumps(error))), "RESOURCE_EXHAUSTED OVERLOADED: not now")

    def test_traffic_and_verdict_have_all_that_the_wire_has(self) -> None:
        traffic = read_traffic(traffic_pb2.Traffic(serving="b", previous="a", shadow_share=0.5, laggards=["there"]))
        self.assertEqual((traffic.serving, traffic.previous, traffic.candidate), ("b", "a", ""))
        self.assertEqual((traffic.shadow_share, traffic.laggards), (0.5, ["there"]))
        figures = traffic_pb2.VariantFigures(latency_p99=Duration(nanos=1_500_000), coverage=1, degraded=0.25)
        verdict = read_verdict(traffic_pb2.GetVerdictResponse(candidate="c", recalls=9, of_candidate=figures))
        self.assertEqual((verdict.candidate, verdict.recalls), ("c", 9))
        self.assertEqual((verdict.of_candidate.latency_p99, verdict.of_candidate.degraded), (0.0015, 0.25))

    def test_a_query_is_written_whole(self) -> None:
        request = recall_request(
            user_id="1",
            history=[np.uint64(5), Event("six", type="click")],
            features={"job": "writer", "age": np.float32(30), "likes": ["a", "b"]},
            filter=Filter(must=[keyword_in("genres", ["Comedy"])], should=[number_range("year", 1990)], must_not=[has_id([9])]),
            exclude=np.array([2**64 - 1], np.uint64),
            exclude_seen=False,
            diversity=Diversity(interest_weights=[0.5], mmr_lambda=0.0, caps={"genres": 2}),
            blend=Blend(fresh=1),
            min_coverage=0.9,
        )
        values = {
            "job": text("writer"),
            "age": features_pb2.FeatureValue(number=30),
            "likes": features_pb2.FeatureValue(list=features_pb2.TextList(values=["a", "b"])),
        }
        expected = recall_pb2.RecallRequest(
            user_id="1",
            context=features_pb2.UserContext(
                features=features_pb2.Features(values=values),
                history=[
                    features_pb2.Event(item=features_pb2.ItemRef(id=5)),
                    features_pb2.Event(item=features_pb2.ItemRef(key="six"), type="click"),
                ],
            ),
            filter=filter_pb2.Filter(
                must=[filter_pb2.Condition(keyword=filter_pb2.KeywordIn(attribute="genres", values=["Comedy"]))],
                should=[filter_pb2.Condition(range=filter_pb2.NumberRange(attribute="year", min=1990))],
                must_not=[filter_pb2.Condition(has_id=filter_pb2.HasId(items=[features_pb2.ItemRef(id=9)]))],
            ),
            exclude=recall_pb2.Exclude(items=[features_pb2.ItemRef(id=2**64 - 1)], allow_seen=True),
            diversity=recall_pb2.Diversity(
                interest_weights=[0.5],
                mmr_lambda=0.0,
                caps=[recall_pb2.AttributeCap(attribute="genres", most=2)],
            ),
            blend=recall_pb2.Blend(fresh=1),
            options=recall_pb2.RecallOptions(min_coverage=0.9),
        )
        self.assertEqual(request, expected)

    def test_an_item_is_written_with_its_features(self) -> None:
        item = Item(key="k", title="Title", features={"year": 1990})
        values = {"year": features_pb2.FeatureValue(number=1990)}
        expected = catalog_pb2.Item(key="k", title="Title", features=features_pb2.Features(values=values))
        self.assertEqual(item.to_wire(), expected)
