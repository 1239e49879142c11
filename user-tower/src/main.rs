//! Runs the user tower, or loads, saves or moves the users of one that runs.

use service::shell::Shell;
use user_tower::{config, export, hand_over, import};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    Shell::new("user-tower", config::DEFAULTS)
        .command("import", import::command)
        .command("export", export::command)
        .command("hand-over", hand_over::command)
        .run(user_tower::serve)
}
