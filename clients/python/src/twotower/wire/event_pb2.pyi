from . import features_pb2 as _features_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordEventsRequest(_message.Message):
    __slots__ = ("events", "members_epoch")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_features_pb2.Event]
    members_epoch: int
    def __init__(self, events: _Optional[_Iterable[_Union[_features_pb2.Event, _Mapping]]] = ..., members_epoch: _Optional[int] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("recorded", "duplicates", "consistency_token")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    duplicates: int
    consistency_token: str
    def __init__(self, recorded: _Optional[int] = ..., duplicates: _Optional[int] = ..., consistency_token: _Optional[str] = ...) -> None: ...

class GetUserRequest(_message.Message):
    __slots__ = ("user_id", "newest", "members_epoch")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    newest: int
    members_epoch: int
    def __init__(self, user_id: _Optional[str] = ..., newest: _Optional[int] = ..., members_epoch: _Optional[int] = ...) -> None: ...

class GetUserResponse(_message.Message):
    __slots__ = ("profile", "history", "seen_items")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SEEN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    profile: _features_pb2.Features
    history: _containers.RepeatedCompositeFieldContainer[_features_pb2.Event]
    seen_items: int
    def __init__(self, profile: _Optional[_Union[_features_pb2.Features, _Mapping]] = ..., history: _Optional[_Iterable[_Union[_features_pb2.Event, _Mapping]]] = ..., seen_items: _Optional[int] = ...) -> None: ...

class PutUserProfileRequest(_message.Message):
    __slots__ = ("user_id", "profile", "members_epoch")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    profile: _features_pb2.Features
    members_epoch: int
    def __init__(self, user_id: _Optional[str] = ..., profile: _Optional[_Union[_features_pb2.Features, _Mapping]] = ..., members_epoch: _Optional[int] = ...) -> None: ...

class PutUserProfileResponse(_message.Message):
    __slots__ = ("unread_features", "unseen_values", "consistency_token")
    UNREAD_FEATURES_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_VALUES_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unread_features: _containers.RepeatedScalarFieldContainer[str]
    unseen_values: _containers.RepeatedScalarFieldContainer[str]
    consistency_token: str
    def __init__(self, unread_features: _Optional[_Iterable[str]] = ..., unseen_values: _Optional[_Iterable[str]] = ..., consistency_token: _Optional[str] = ...) -> None: ...

class DeleteUserRequest(_message.Message):
    __slots__ = ("user_id", "members_epoch")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    members_epoch: int
    def __init__(self, user_id: _Optional[str] = ..., members_epoch: _Optional[int] = ...) -> None: ...

class DeleteUserResponse(_message.Message):
    __slots__ = ("events", "seen_items", "profile")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SEEN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    events: int
    seen_items: int
    profile: bool
    def __init__(self, events: _Optional[int] = ..., seen_items: _Optional[int] = ..., profile: _Optional[bool] = ...) -> None: ...
