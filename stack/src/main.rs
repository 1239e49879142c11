//! `twotower`: the whole house in one process, and the command line of a gateway that runs anywhere.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use stack::{certs, client, demo, prepare, seed, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two-tower recall, from data to recommendations.
#[derive(Parser)]
#[command(name = "twotower", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes data, trains, exports, evaluates, indexes, serves and recommends; prints the figures.
    Demo(DemoArguments),
    /// Serves what the demo made until Ctrl-C.
    Serve {
        /// The folder of the demo.
        #[arg(long, default_value = "var/generated")]
        work: PathBuf,
        /// The gateway's port; the towers take the ports above it.
        #[arg(long, default_value_t = 50050)]
        port: u16,
    },
    /// Does what the demo does against servers that run already; does nothing that is done already.
    Seed(SeedArguments),
    Certs(certs::Certs),
    Token(certs::Token),
    #[command(flatten)]
    Client(client::Command),
}

#[derive(clap::Args)]
struct DemoArguments {
    #[command(flatten)]
    prepare: prepare::Options,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/demo.json")]
    report: PathBuf,
}

#[derive(clap::Args)]
struct SeedArguments {
    #[command(flatten)]
    prepare: prepare::Options,
    /// The item tower that embeds the catalog.
    #[arg(long)]
    item_tower: String,
    /// The user tower that takes the users.
    #[arg(long)]
    user_tower: String,
    /// The gateway to ask at the end.
    #[arg(long)]
    gateway: String,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match Cli::parse().command {
        Command::Demo(arguments) => {
            runtime.block_on(demo::run(&arguments.prepare, &arguments.report))
        }
        Command::Serve { work, port } => runtime.block_on(serve::run(&work, port)),
        Command::Seed(arguments) => runtime.block_on(seed::run(
            &arguments.prepare,
            &arguments.item_tower,
            &arguments.user_tower,
            &arguments.gateway,
        )),
        Command::Certs(certs) => certs.run(),
        Command::Token(token) => token.run(),
        Command::Client(command) => runtime.block_on(client::run(command)),
    }
}
