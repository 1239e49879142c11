//! Lays settings over one another, and refuses a layer that sets what no default names.

use std::path::Path;

use ::config::{
    Config, ConfigBuilder, ConfigError, File, FileFormat, Value, ValueKind, builder::DefaultState,
};

use super::{Error, nearest::nearest};

/// The defaults of `[server]`, `[identity]` and `[telemetry]`, under those of every binary that has them.
const SHELL: &str = include_str!("../../config.toml");

/// Merges `defaults`, `file` and the variables of `environment` that begin with the name.
pub(super) fn merge(
    name: &str,
    defaults: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Error> {
    let malformed = |source| Error::Malformed {
        name: name.to_owned(),
        source,
    };
    let mut builder = shell_sections(defaults)
        .map_err(malformed)?
        .add_source(toml(defaults));
    let known = builder.build_cloned().map_err(malformed)?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
        let origin = path.display().to_string();
        let layer = Config::builder()
            .add_source(toml(&text))
            .build()
            .map_err(|source| malformed(ConfigError::Message(format!("{origin}: {source}"))))?;
        refuse_unknown(&layer.cache, &known.cache, "").map_err(|key| Error::Unknown {
            name: name.to_owned(),
            nearest: nearest(&known.cache, &key),
            key,
            origin,
        })?;
        builder = builder.add_source(layer);
    }
    let prefix = format!("{}__", name.to_uppercase().replace('-', "_"));
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(&prefix) else {
            continue;
        };
        let key = rest.to_lowercase().replace("__", ".");
        let value = match find(&known.cache, &key) {
            Some(default) => read(&text, default),
            None => {
                return Err(Error::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(&known.cache, &key),
                    key,
                    origin: format!("environment variable {variable}"),
                });
            }
        };
        builder = builder.set_override(&key, value).map_err(malformed)?;
    }
    builder.build().map_err(malformed)
}

/// Begins with the shell's defaults of those sections that `defaults` has too.
fn shell_sections(defaults: &str) -> Result<ConfigBuilder<DefaultState>, ConfigError> {
    let wanted = Config::builder().add_source(toml(defaults)).build()?.cache;
    let shell = Config::builder().add_source(toml(SHELL)).build()?.cache;
    let mut builder = Config::builder();
    if let ValueKind::Table(sections) = shell.kind {
        for (section, settings) in sections {
            if find(&wanted, &section).is_some() {
                builder = builder.set_default(section, settings)?;
            }
        }
    }
    Ok(builder)
}

fn toml(text: &str) -> File<::config::FileSourceString, FileFormat> {
    File::from_str(text, FileFormat::Toml)
}

/// Refuses the first setting of `layer`, which stands at `path`, that `known` does not have; an empty table there is free.
fn refuse_unknown(layer: &Value, known: &Value, path: &str) -> Result<(), String> {
    let (ValueKind::Table(layer), ValueKind::Table(known)) = (&layer.kind, &known.kind) else {
        return Ok(());
    };
    if known.is_empty() {
        return Ok(());
    }
    for (key, value) in layer {
        let path = join(path, key);
        match known.get(key) {
            Some(known) => refuse_unknown(value, known, &path)?,
            None => return Err(path),
        }
    }
    Ok(())
}

/// The path of `name` in the section at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn find<'a>(known: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.')
        .try_fold(known, |value, part| match &value.kind {
            ValueKind::Table(table) => table.get(part),
            _ => None,
        })
}

/// Reads a variable as what the default is: a list by comma, anything else as its text, which
/// deserializing turns into numbers and switches.
fn read(text: &str, default: &Value) -> ValueKind {
    match default.kind {
        ValueKind::Array(_) => ValueKind::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(Value::from)
                .collect(),
        ),
        _ => ValueKind::String(text.to_owned()),
    }
}
