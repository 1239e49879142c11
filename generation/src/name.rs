//! Refuses names that could leave their directory.

use crate::error::Error;

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// Returns `name` if it is safe as one component of a path: 1 to 128 ASCII letters, digits, `-`,
/// `_` and `.`, the first of them no dot.
///
/// # Errors
/// [`Error::Name`] with the name and what a name must be.
pub(crate) fn check<'a>(what: &'static str, name: &'a str) -> Result<&'a str, Error> {
    match broken_rule(name) {
        None => Ok(name),
        Some(rule) => Err(Error::Name {
            what,
            name: name.chars().take(80).collect(),
            rule,
        }),
    }
}

/// Returns `path` if every component of it, between slashes, is a name.
///
/// # Errors
/// As [`check`], with the component.
pub(crate) fn check_path<'a>(what: &'static str, path: &'a str) -> Result<&'a str, Error> {
    path.split('/')
        .try_for_each(|component| check(what, component).map(drop))?;
    Ok(path)
}

fn broken_rule(name: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name.as_bytes() {
        [] => Some("it is empty"),
        bytes if bytes.len() > LONGEST => Some("it has more than 128 bytes"),
        [b'.', ..] => Some("it starts with a dot"),
        bytes if !bytes.iter().copied().all(allowed) => {
            Some("only ASCII letters, digits, '-', '_' and '.' are allowed")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "shard-0000.rows",
            "20261124T101112Z-0badcafe",
            "a",
            &"a".repeat(128),
        ] {
            assert_eq!(check("file", name).unwrap(), name);
        }
    }

    #[test]
    fn names_that_leave_the_directory_are_refused_by_name() {
        let long = "a".repeat(4096);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "a\0b",
            "/etc/passwd",
            "é",
            long.as_str(),
        ] {
            let cause = check("file", name).unwrap_err().to_string();
            assert!(cause.starts_with("file \""), "{cause}");
            assert!(cause.len() < 250, "{cause}");
        }
    }

    #[test]
    fn a_path_is_names_between_slashes() {
        for path in ["deltas/00000001", "golden/test_data_set_0/input_0.pb", "a"] {
            assert_eq!(check_path("object", path).unwrap(), path);
        }
        for path in ["", "/a", "a/", "a//b", "a/../b", "a/.b"] {
            assert!(check_path("object", path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_passes_is_one_plain_component(name in ".*") {
            if check("file", &name).is_ok() {
                let components: Vec<_> = std::path::Path::new(&name).components().collect();
                prop_assert!(matches!(components[..], [std::path::Component::Normal(_)]));
            }
        }
    }
}
