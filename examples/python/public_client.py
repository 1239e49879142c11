"""Drives a gateway as any public gRPC client would, with nothing but reflection: public_client.py ADDRESS USER.

Lists the services, checks health and asks for recommendations; the message types come from the server.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, user = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    reflection = ProtoReflectionDescriptorDatabase(channel)
    for service in sorted(reflection.get_services()):
        print("service", service)

    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "twotower.v1.RecallService"]:
        status = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=2).status
        print("health", service or "(all)", health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    method = DescriptorPool(reflection).FindMethodByName("twotower.v1.RecallService.Recall")
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.unary_unary(
        "/twotower.v1.RecallService/Recall",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    answer = call(request(user_id=user, page_size=5), timeout=2)
    for candidate in answer.candidates:
        print("candidate", candidate.id, candidate.score)
    print("coverage", answer.coverage.fraction, "generation", answer.generation)
