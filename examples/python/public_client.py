"""Drives a gateway as any public gRPC client would, with nothing but reflection: public_client.py ADDRESS USER.

Lists the services, checks health and asks for recommendations; the message types come from the server. A gateway with TLS needs
--authority, one that asks who calls --token-file too.
"""

import argparse
import pathlib

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("address")
parser.add_argument("user")
parser.add_argument("--authority", type=pathlib.Path, help="the authority of the gateway's certificate, PEM")
parser.add_argument("--token-file", type=pathlib.Path, help="the file of a token that says who calls")
options = parser.parse_args()


def connect() -> grpc.Channel:
    if options.authority is None:
        return grpc.insecure_channel(options.address)
    credentials = grpc.ssl_channel_credentials(options.authority.read_bytes())
    if options.token_file is not None:
        token = grpc.access_token_call_credentials(options.token_file.read_text().strip())
        credentials = grpc.composite_channel_credentials(credentials, token)
    return grpc.secure_channel(options.address, credentials)


with connect() as channel:
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
    answer = call(request(user_id=options.user, page_size=5), timeout=2)
    for candidate in answer.candidates:
        print("candidate", candidate.id, candidate.score)
    print("coverage", answer.coverage.fraction, "generation", answer.generation)
