//! A house of separate processes that know each other by certificates and their callers by tokens, and tell what they do.

mod calls;
mod observed;
mod prometheus;
mod site;
