//! Runs the item tower.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    service::run(
        "item-tower",
        item_tower::config::DEFAULTS,
        item_tower::serve,
    )
}
