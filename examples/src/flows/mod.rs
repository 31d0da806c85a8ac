//! The call flows of RFC 3665, RFC 5359 and others as runs in a simulated network: user agents and proxies of this stack say what the
//! RFC's diagrams show, message by message.

mod acts;
mod cast;
mod cc_transfer;
mod conference;
mod diagram;
mod domain;
mod establishment;
mod events;
mod forks;
mod gate;
mod offers;
mod parking;
mod registration;
mod services;
mod stage;
mod timers;
mod transfer;

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
    /// Each message of the diagram, as the module of that name reads it: `Alice -> Bob: INVITE`.
    diagram: &'static str,
    play: fn(&mut Stage) -> Done,
}

/// All flows, in the order of their RFCs and sections.
pub fn all() -> Vec<&'static Flow> {
    let parts = [
        registration::FLOWS,
        establishment::FLOWS,
        services::FLOWS,
        transfer::FLOWS,
        cc_transfer::FLOWS,
        conference::FLOWS,
        events::FLOWS,
        forks::FLOWS,
        offers::FLOWS,
        parking::FLOWS,
        timers::FLOWS,
    ];
    let mut flows: Vec<&Flow> = parts.into_iter().flatten().collect();
    flows.sort_by_key(|flow| flow.place());
    flows
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
            stage.compare(self.diagram)
        });
        (stage.ladder(), played)
    }

    /// The RFC's number.
    pub fn rfc(&self) -> u32 {
        self.place().first().copied().unwrap_or_default()
    }

    /// The numbers of the RFC and the section, to sort by.
    fn place(&self) -> Vec<u32> {
        let numbers = self.section.split(|part: char| !part.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Every flow is played as the RFC shows it.
    #[test]
    fn all_flows() {
        let mut failed = Vec::new();
        for flow in super::all() {
            let (ladder, result) = flow.run();
            if let Err(reason) = result {
                failed.push(format!("{} ({}): {reason}\n{ladder}", flow.name, flow.section));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    /// None of the flows of these RFCs is left out: their tables of contents.
    #[test]
    fn none_is_left_out() {
        let sections = |chapter: u32, of: std::ops::RangeInclusive<u32>| {
            of.map(move |section| format!("§{chapter}.{section}"))
        };
        let contents: [(u32, Vec<String>); 2] = [
            (3665, sections(2, 1..=5).chain(sections(3, 1..=11)).collect()),
            (5359, sections(2, 1..=18).collect()),
        ];
        for (rfc, contents) in contents {
            let flows = super::all();
            let played: BTreeSet<&str> = flows.iter().map(|flow| flow.section).collect();
            for section in contents {
                let section = format!("RFC {rfc} {section}");
                assert!(played.contains(&*section), "{section} is not played");
            }
        }
    }

    /// A flow has a name of its own, and says why it shows what the diagram does not.
    #[test]
    fn what_differs_is_said() {
        let flows = super::all();
        let names: BTreeSet<&str> = flows.iter().map(|flow| flow.name).collect();
        assert_eq!(names.len(), flows.len());
        for flow in flows {
            let adds = flow
                .diagram
                .lines()
                .any(|line| line.trim().trim_start_matches("~ ").starts_with("+ "));
            assert!(!adds || !flow.differs.is_empty(), "{} adds messages", flow.name);
        }
    }
}
