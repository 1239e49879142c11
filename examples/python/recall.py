"""Asks a running gateway for recommendations, in ten lines: recall.py [ADDRESS] [USER]."""

import pathlib
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "proto" / "proto"))
messages, services = grpc.protos_and_services("twotower/v1/recall.proto")

address, user = (sys.argv[1:] + ["127.0.0.1:50050", "42"][len(sys.argv) - 1 :])[:2]
with grpc.insecure_channel(address) as channel:
    recall = services.RecallServiceStub(channel).Recall
    answer = recall(messages.RecallRequest(user_id=user, page_size=5, options={"with_item": True}), timeout=2)
    for candidate in answer.candidates:
        print(f"{candidate.score:8.3f}  {candidate.id:>6}  {candidate.item.title}")
