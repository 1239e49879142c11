//! Runs the user tower, or loads a dataset into one that runs.

use service::shell::Shell;
use user_tower::{config, import};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    Shell::new("user-tower", config::DEFAULTS)
        .command("import", import::command)
        .run(user_tower::serve)
}
