//! Runs the gateway.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    service::run("gateway", gateway::config::DEFAULTS, gateway::serve)
}
