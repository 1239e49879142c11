//! Calls of every RPC with messages made out of bytes: good ones, spoilt ones, any that their type allows, and no messages at all.

use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use service::status;
use tonic::{Code, Status};

use self::{message::Maker, rpc::Rpc, site::Site};
use super::source::{Source, damage};

mod message;
mod raw;
pub(crate) mod rpc;
pub(crate) mod site;
mod valid;

/// What the head of an answer may take: public clients give up at 8 KiB.
const HEAD_LIMIT: usize = 7 * 1_024;

/// What is sent in one call.
struct Sent {
    messages: Vec<Vec<u8>>,
    /// Whether all of them are messages of the call's type.
    is_typed: bool,
}

impl Sent {
    /// The messages' beginnings, for people.
    fn shown(&self) -> String {
        let shown = self.messages.iter().map(|bytes| {
            let begin = bytes[..bytes.len().min(400)].escape_ascii();
            format!("{} bytes \"{begin}\"", bytes.len())
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Makes one call of any RPC; the first two bytes say which.
pub(crate) fn any(site: &Site, bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let rpc = &site.rpcs()[source.below(site.rpcs().len())];
    one(site, rpc, source);
}

/// Makes one call of an RPC, and refuses an answer that no caller deserves.
pub(crate) fn one(site: &Site, rpc: &Rpc, mut source: Source<'_>) {
    let sent = sent(site, rpc, &mut source);
    let answered = site.call(rpc, sent.messages.clone());
    if let Err(problem) = judge(rpc, sent.is_typed, answered) {
        panic!("{rpc}: {problem}; sent was {}", sent.shown());
    }
}

fn sent(site: &Site, rpc: &Rpc, source: &mut Source<'_>) -> Sent {
    let count = match rpc.method.is_client_streaming() {
        true => usize::from(source.one(&[1_u8, 2, 3, 0])),
        false => 1,
    };
    let mut is_typed = true;
    let messages = (0..count).map(|_| {
        let kind = source.byte() % 8;
        let mut bytes = typed(site, rpc, !matches!(kind, 4 | 5), source);
        match kind {
            6 => {
                is_typed = false;
                damage(&mut bytes, &[0x0b; 400], source);
            }
            7 => {
                is_typed = false;
                bytes = source.take(200).to_vec();
            }
            _ => {}
        }
        bytes
    });
    Sent {
        messages: messages.collect(),
        is_typed,
    }
}

/// A message of the call's type: a good one with a field or three spoilt, where one is wanted and known, else any.
fn typed(site: &Site, rpc: &Rpc, spoilt: bool, source: &mut Source<'_>) -> Vec<u8> {
    let valid = site.valid(rpc);
    let mut maker = Maker::new(source, site.words());
    let message = match valid {
        [] => maker.message(&rpc.method.input()),
        _ if !spoilt => maker.message(&rpc.method.input()),
        _ => {
            let mut message = valid[maker.source.below(valid.len())].clone();
            for _ in 0..maker.source.byte() % 4 {
                maker.spoil(&mut message);
            }
            message
        }
    };
    message.encode_to_vec()
}

/// Says what is wrong with an answer, if anything is.
///
/// A caller's fault is never the server's: not UNKNOWN, not INTERNAL, and nobody is UNAVAILABLE who is there. Only within a stream what is
/// no message at all is INTERNAL, as gRPC has it, and says so.
fn judge(rpc: &Rpc, is_typed: bool, answered: Result<Vec<Vec<u8>>, Status>) -> Result<(), String> {
    let status = match answered {
        Ok(answers) => return answers.iter().try_for_each(|bytes| read(rpc, bytes)),
        Err(status) => status,
    };
    let reason = status::reason(&status);
    let is_no_message = !is_typed && reason.is_none() && rpc.method.is_client_streaming();
    let fails = match status.code() {
        Code::Internal => !is_no_message || !status.message().starts_with("failed to decode"),
        Code::Unavailable => reason.as_deref() != Some(status::COVERAGE_TOO_LOW),
        code => matches!(code, Code::Unknown | Code::Unimplemented | Code::DataLoss),
    };
    let head = head(&status);
    if fails || head > HEAD_LIMIT {
        let message: String = status.message().chars().take(300).collect();
        let code = status.code();
        return Err(format!("{code:?} ({reason:?}), {head} bytes: {message}"));
    }
    Ok(())
}

/// Reads an answer, and the failures of single recalls in it.
fn read(rpc: &Rpc, bytes: &[u8]) -> Result<(), String> {
    let answer = DynamicMessage::decode(rpc.method.output(), bytes);
    let answer = answer.map_err(|cause| format!("an answer that is none: {cause}"))?;
    let mut failures = message::all(&answer).into_iter().filter_map(|message| {
        let is_failure = message.descriptor().full_name() == "twotower.v1.RecallFailure";
        let code = message.get_field_by_name("code")?.as_i32()?;
        is_failure.then_some((Code::from_i32(code), format!("{message:?}")))
    });
    match failures.find(|(code, _)| matches!(code, Code::Internal | Code::Unknown)) {
        Some((code, failure)) => Err(format!("a recall that is {code:?}: {failure}")),
        None => Ok(()),
    }
}

/// How many bytes a status takes in the head of an answer: what is not plain is written as three, and details in base64.
fn head(status: &Status) -> usize {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'%';
    let message = status.message().as_bytes().iter();
    let message: usize = message.map(|byte| if plain(byte) { 1 } else { 3 }).sum();
    message + status.details().len().div_ceil(3) * 4
}
