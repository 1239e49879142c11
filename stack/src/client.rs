//! The commands that ask a running gateway: what a person types becomes a call, the answer a table or JSON.
//!
//! One file a command or family of commands. They share what they are told (`connection`, `arguments`, `filter`, `item`) and how they
//! answer (`answer`, `table`, `words`, `json`, `failure`).

pub mod explain;
pub mod generations;
pub mod recall;
pub mod record;
pub mod replay;
pub mod score;
pub mod similar;
pub mod traffic;
pub mod user;
pub mod verdict;

mod answer;
mod arguments;
mod connection;
mod failure;
mod filter;
mod item;
mod json;
mod table;
mod words;

/// What a gateway can be asked.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Recommends items to a user.
    Recall(recall::Recall),
    /// Finds the items that are near to some items.
    Similar(similar::Similar),
    /// Scores items for a user.
    Score(score::Score),
    /// Tells why items stand where they do in a recall.
    Explain(explain::Explain),
    /// Answers a recall again as it was answered then, or as another generation would have.
    Replay(replay::Replay),
    /// Records something that a user did.
    Record(record::Record),
    /// Shows what is stored of a user.
    User(user::User),
    /// Lists the generations held, and what they are for.
    Generations(generations::Generations),
    /// Lets a generation serve.
    Promote(traffic::Promote),
    /// Lets the previous generation serve again.
    Rollback(traffic::Rollback),
    /// Shows which generations answer, or lets a candidate answer a share of the recalls.
    Traffic(traffic::Traffic),
    /// Compares the candidate's answers with those of the generation that serves.
    Verdict(verdict::Verdict),
}

/// Asks the gateway and prints its answer.
///
/// # Errors
/// If there is no gateway at the address, or it refuses the call.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Recall(recall) => recall.run().await,
        Command::Similar(similar) => similar.run().await,
        Command::Score(score) => score.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Replay(replay) => replay.run().await,
        Command::Record(record) => record.run().await,
        Command::User(user) => user.run().await,
        Command::Generations(generations) => generations.run().await,
        Command::Promote(promote) => promote.run().await,
        Command::Rollback(rollback) => rollback.run().await,
        Command::Traffic(traffic) => traffic.run().await,
        Command::Verdict(verdict) => verdict.run().await,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    /// Parses a command line in which no argument has a blank.
    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = ["twotower"].into_iter().chain(line.split(' '));
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn no_two_arguments_of_a_command_collide() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_understood() {
        for line in [
            "recall --user 7 --k 5 --filter genres=Comedy|Drama --filter year=1990..1999 --exclude 1 --exclude a --allow-seen",
            "recall --user 7 --mmr 0.5 --quota 1 --weight 1 --weight 0.5 --cap genres=3 --popular 1 --fresh 1 --exact --pages 2",
            "recall --user 7 --generation g --page-token -t --consistency-token -c --json --gateway http://localhost:1",
            "similar 1 a --k 5 --filter genres!=Horror --generation g",
            "score --user 7 1 a",
            "explain --user 7",
            "explain --user 7 1 a --reasons 2 --filter year=1990..",
            "replay --user 7 -token --generation h --named g --k 5 --mmr 0.5",
            "record --user 7 --item a --type click --value -1 --time 5 --event-id e",
            "user --user 7 --newest 3",
            "generations",
            "promote",
            "promote g",
            "rollback --from g",
            "traffic",
            "traffic --candidate g --share 0.1 --shadow 0.5",
            "verdict --json",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "recall",
            "recall --user 7 --pages 0",
            "recall --user 7 --filter genres",
            "similar",
            "score --user 7",
            "record --user 7",
            "traffic --share 0.1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
