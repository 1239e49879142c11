"""What the front asks the search server: as bytes, for which no message has to be made.

A question is `HEADER` (items wanted, interests), the interests as f32 and the seen items as i64, ascending; an answer is the ids as
i64 and the scores as f32, best first.
"""

import struct

import grpc

HEADER = struct.Struct("<ii")


def serve(server: grpc.Server, service: str, method: str, handler: grpc.RpcMethodHandler) -> int:
    """Registers the only method of a service, starts the server and returns its port."""
    server.add_registered_method_handlers(service, {method: handler})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port
