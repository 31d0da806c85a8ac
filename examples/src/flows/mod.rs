//! The call flows of RFC 3665 and RFC 5359 as runs in a simulated network: user agents and proxies of this stack say what the
//! RFC's diagrams show, message by message.

mod domain;
mod establishment;
mod registration;
mod services;
mod stage;

use sip_ua::Ladder;

use self::stage::{Done, Stage};

/// One flow of an RFC.
pub struct Flow {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where the RFC shows it.
    pub section: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Where this stack does otherwise than the diagram, and why; empty if it does not.
    pub differs: &'static str,
    /// Each message of the diagram: `Alice -> Bob: INVITE`.
    diagram: &'static str,
    play: fn(&mut Stage) -> Done,
}

/// All flows, in the order of their sections.
pub fn all() -> impl Iterator<Item = &'static Flow> {
    registration::FLOWS.iter().chain(establishment::FLOWS).chain(services::FLOWS)
}

impl Flow {
    /// Plays it: what passed, and whether that is what the RFC shows.
    ///
    /// # Errors
    /// What did not happen, or where the messages differ from the diagram.
    pub fn run(&self) -> (Ladder, Result<(), String>) {
        let mut stage = Stage::new();
        let played = (self.play)(&mut stage).and_then(|()| {
            stage.settle();
            stage.compare(&self.expected())
        });
        (stage.ladder(), played)
    }

    /// Each message of the diagram. A line of two arrows, `A -> B -> C: BYE`, is two messages.
    fn expected(&self) -> Vec<String> {
        let lines = self.diagram.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.flat_map(one_by_one).collect()
    }
}

fn one_by_one(line: &str) -> Vec<String> {
    let (parties, what) = line.rsplit_once(": ").unwrap_or((line, ""));
    let parties: Vec<&str> = parties.split(" -> ").collect();
    let hops = parties.iter().zip(parties.iter().skip(1));
    hops.map(|(from, to)| format!("{from} -> {to}: {what}")).collect()
}

#[cfg(test)]
mod tests {
    /// Every flow is played as the RFC shows it.
    #[test]
    fn all_flows() {
        let mut failed = Vec::new();
        for flow in super::all() {
            let (ladder, result) = flow.run();
            println!("{} ({}): {}\n{ladder}", flow.name, flow.section, flow.title);
            if let Err(reason) = result {
                failed.push(format!("{}: {reason}", flow.name));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
