//! Makes messages out of bytes: whatever their type allows, with the values that break things.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
    bytes::Bytes,
};

use super::super::source::Source;

/// Messages within messages go so deep.
const DEEPEST: usize = 5;
/// So many elements of a list or a map are different.
const DIFFERENT: usize = 3;
/// How long lists are. The limits of requests and one more are among them.
const LENGTHS: [usize; 16] = [1, 1, 2, 3, 0, 1, 2, 3, 1, 2, 1, 1, 17, 65, 257, 1_001];
/// How long bytes are; a vector of the house has 32.
const SIZES: [usize; 8] = [32, 0, 1, 31, 33, 64, 512, 4_096];
/// How often a letter comes in a long text. The limits of texts and one more are among them.
const LONG: [usize; 8] = [64, 65, 128, 129, 256, 257, 4_097, 3];
const LETTERS: [&str; 4] = ["x", "\0", "🦀", "%"];
const NASTY: [&str; 12] = [
    "",
    "\0",
    "\u{1b}[31m",
    "\r\nx: y",
    "../x",
    "é\u{202e}",
    "%s%n",
    "NaN",
    "1-1",
    "\u{2028}",
    "-1",
    "' OR 1=1 --",
];
const WHOLE: [u64; 12] = [
    u64::MAX,
    u64::MAX / 2,
    1 << 63,
    u32::MAX as u64,
    1 << 31,
    100,
    101,
    1_000,
    1_001,
    10_001,
    1_000_000_000,
    1_700_000_000_000_000,
];
const REAL: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    0.5,
    -1.0,
    2.0,
    25.0,
    0.001,
    1_000.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE / 2.0,
    1e38,
];

/// Makes messages.
pub(crate) struct Maker<'m, 'b> {
    pub(crate) source: &'m mut Source<'b>,
    /// Texts that mean something to the house.
    words: &'m [String],
    /// Whether a list may still be long: one in the other would make too much of it.
    long: bool,
}

impl<'m, 'b> Maker<'m, 'b> {
    pub(crate) fn new(source: &'m mut Source<'b>, words: &'m [String]) -> Self {
        Self {
            source,
            words,
            long: true,
        }
    }

    /// Makes any message of a type; once the bytes are used up, all that is left has its default.
    pub(crate) fn message(&mut self, of: &MessageDescriptor) -> DynamicMessage {
        self.nested(of, 0)
    }

    /// Gives one field somewhere in a message any other value, or none.
    pub(crate) fn spoil(&mut self, message: &mut DynamicMessage) {
        let mut at = self.source.below(all(message).len());
        self.spoil_at(message, &mut at, 0);
    }

    fn spoil_at(&mut self, message: &mut DynamicMessage, at: &mut usize, depth: usize) -> bool {
        if *at > 0 {
            *at -= 1;
            let mut inner = inner_mut(message).into_iter();
            return inner.any(|inner| self.spoil_at(inner, at, depth + 1));
        }
        let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
        if !fields.is_empty() {
            let field = &fields[usize::from(self.source.byte()) % fields.len()];
            if self.source.byte().is_multiple_of(4) {
                message.clear_field(field);
            } else {
                let value = self.field(field, depth);
                message.set_field(field, value);
            }
        }
        true
    }

    fn nested(&mut self, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        for field in of.fields() {
            if self.source.byte() % 2 == 1 {
                let value = self.field(&field, depth);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Value::Map(self.map(&entry.map_entry_value_field().kind(), depth))
            }
            kind if field.is_list() => Value::List(self.list(&kind, depth)),
            kind => self.single(&kind, depth),
        }
    }

    fn list(&mut self, kind: &Kind, depth: usize) -> Vec<Value> {
        let length = self.length();
        let different = (0..length.min(DIFFERENT)).map(|_| self.single(kind, depth));
        let mut values: Vec<Value> = different.collect();
        if let Some(last) = values.last().cloned() {
            values.resize(length, last);
        }
        values
    }

    /// Makes a map of texts, as all of the wire's are.
    fn map(&mut self, kind: &Kind, depth: usize) -> HashMap<MapKey, Value> {
        let values = self.list(kind, depth).into_iter().enumerate();
        let entries = values.map(|(number, value)| {
            let key = match number < DIFFERENT {
                true => self.text(),
                false => number.to_string(),
            };
            (MapKey::String(key), value)
        });
        entries.collect()
    }

    fn length(&mut self) -> usize {
        match self.source.one(&LENGTHS) {
            length if length <= DIFFERENT => length,
            length if self.long => {
                self.long = false;
                length
            }
            _ => 1,
        }
    }

    fn single(&mut self, kind: &Kind, depth: usize) -> Value {
        match kind {
            Kind::Double => Value::F64(self.source.one(&REAL)),
            Kind::Float => Value::F32(self.source.one(&REAL) as f32),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.whole() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.whole() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.whole() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.whole()),
            Kind::Bool => Value::Bool(self.source.byte() % 2 == 1),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.bytes()),
            Kind::Enum(_) => Value::EnumNumber(self.whole() as i32),
            Kind::Message(of) if depth < DEEPEST => Value::Message(self.nested(of, depth + 1)),
            Kind::Message(of) => Value::Message(DynamicMessage::new(of.clone())),
        }
    }

    fn whole(&mut self) -> u64 {
        match self.source.byte() % 4 {
            0 | 1 => u64::from(self.source.byte()) % 32,
            2 => self.source.one(&WHOLE),
            _ => self.source.number(),
        }
    }

    fn text(&mut self) -> String {
        match self.source.byte() % 8 {
            0..=4 => self.words[self.source.below(self.words.len())].clone(),
            5 => self.source.one(&NASTY).to_owned(),
            6 => {
                let letter = self.source.one(&LETTERS);
                letter.repeat(self.source.one(&LONG))
            }
            _ => String::from_utf8_lossy(self.source.take(12)).into_owned(),
        }
    }

    /// Makes bytes of equal numbers, as a vector has them, or of equal bytes.
    fn bytes(&mut self) -> Bytes {
        let size = self.source.one(&SIZES);
        let pattern = match self.source.byte() % 4 {
            3 => [self.source.byte(); 4],
            _ => (self.source.one(&REAL) as f32).to_le_bytes(),
        };
        pattern.into_iter().cycle().take(size).collect()
    }
}

/// The message and all messages within it, each before those within it.
pub(crate) fn all(message: &DynamicMessage) -> Vec<&DynamicMessage> {
    let mut found = vec![message];
    for (_, value) in message.fields() {
        let inner: Vec<&Value> = match value {
            Value::List(values) => values.iter().collect(),
            Value::Map(values) => values.values().collect(),
            value => vec![value],
        };
        found.extend(
            inner
                .into_iter()
                .filter_map(Value::as_message)
                .flat_map(all),
        );
    }
    found
}

fn inner_mut(message: &mut DynamicMessage) -> Vec<&mut DynamicMessage> {
    let values = message.fields_mut().flat_map(|(_, value)| match value {
        Value::List(values) => values.iter_mut().collect::<Vec<&mut Value>>(),
        Value::Map(values) => values.values_mut().collect(),
        value => vec![value],
    });
    values.filter_map(Value::as_message_mut).collect()
}
