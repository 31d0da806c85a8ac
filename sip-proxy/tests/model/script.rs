//! What people do with three phones and a proxy, and what the network does to them: drawn at random, and made
//! smaller by proptest until only what is needed for a failure is left.

use std::fmt;

use proptest::prelude::*;

/// How many phones there are: one who calls, one who is called, and one more for transfers and forks.
pub const PHONES: usize = 3;
pub const NAMES: [&str; PHONES] = ["alice", "bob", "carol"];

/// One case.
#[derive(Clone)]
pub struct Script {
    /// What the network draws from.
    pub seed: u64,
    pub weather: Weather,
    pub manners: [Manner; PHONES],
    pub steps: Vec<Step>,
}

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// They arrive, more or less in order.
    Fair,
    /// Some are lost or doubled, and they overtake each other.
    Rain,
    /// One in five is lost.
    Storm,
}

/// How a phone is set up, and how its user behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub reliable: Reliable,
    /// Sessions of 90 s, and not of half an hour.
    pub short_sessions: bool,
    pub answers: Answers,
}

/// What is asked of provisional responses.
#[derive(Clone, Copy, Debug)]
pub enum Reliable {
    Supported,
    Never,
    Required,
}

/// When what a peer waits for is answered, offers above all.
#[derive(Clone, Copy, Debug)]
pub enum Answers {
    AtOnce,
    /// After so many milliseconds.
    Late(u16),
    /// One time in three not at all.
    Seldom,
}

/// Something that somebody does.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// In milliseconds since the beginning.
    pub at: u32,
    pub act: Act,
}

/// One of those that would do, the latest first; when `any` is set also those for which it is the wrong time.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    pub nth: u8,
    pub any: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Call {
        from: u8,
        to: To,
        offers: bool,
    },
    /// A call that is answered within a second, if nothing goes wrong.
    Talk {
        from: u8,
        to: To,
        offers: bool,
        rings: bool,
    },
    /// Every phone that is called rings.
    RingAll {
        describes: bool,
    },
    Ring {
        call: Pick,
        progress: bool,
        describes: bool,
    },
    Accept {
        call: Pick,
    },
    Refuse {
        call: Pick,
        busy: bool,
    },
    HangUp {
        call: Pick,
    },
    Reinvite {
        call: Pick,
        offers: bool,
    },
    Update {
        call: Pick,
        offers: bool,
    },
    /// Answers what is owed now, whatever the manner.
    Answer {
        call: Pick,
    },
    Refer {
        call: Pick,
        to: u8,
    },
    /// The peer of the one call is to take the place in the other.
    Transfer {
        call: Pick,
        other: Pick,
    },
    /// Somebody calls the peer of a call to take this phone's place in it.
    Replace {
        call: Pick,
        by: u8,
    },
    /// Or to join it.
    Join {
        call: Pick,
        by: u8,
    },
    Send {
        call: Pick,
        what: What,
    },
    Text {
        from: u8,
        to: To,
    },
    Subscribe {
        from: u8,
        to: To,
        short: bool,
    },
    Refresh {
        nth: u8,
    },
    Unsubscribe {
        nth: u8,
    },
    Notify {
        nth: u8,
    },
    Terminate {
        nth: u8,
        retry: bool,
    },
    /// Every handle of a phone is dropped.
    DropAll {
        phone: u8,
    },
    NetworkChanged {
        phone: u8,
        moves: bool,
    },
    /// Nothing passes between two of them for a while.
    Part {
        phone: u8,
        other: u8,
        seconds: u8,
    },
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A phone, at its address.
    Phone(u8),
    /// A user of the proxy's domain.
    User(u8),
    /// Both others at once.
    Team,
    /// One after the other.
    Hunt,
    /// Somebody that the proxy does not know.
    Nobody,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    Message,
    Info,
    Options,
}

impl Script {
    /// Whether nothing but loss stands between the phones: then nobody misses the end of a call.
    pub fn is_connected(&self) -> bool {
        !self.steps.iter().any(|step| {
            matches!(step.act, Act::Part { .. } | Act::NetworkChanged { moves: true, .. })
        })
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:?}", self.seed, self.weather)?;
        for (name, manner) in NAMES.iter().zip(&self.manners) {
            writeln!(f, "  {name}: {manner:?}")?;
        }
        for step in &self.steps {
            writeln!(f, "  {:>6} ms: {:?}", step.at, step.act)?;
        }
        Ok(())
    }
}

fn phone() -> impl Strategy<Value = u8> {
    0..PHONES as u8
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![
        4 => phone().prop_map(To::Phone),
        4 => phone().prop_map(To::User),
        3 => Just(To::Team),
        1 => Just(To::Hunt),
        1 => Just(To::Nobody),
    ]
}

/// Nearly always one for which it is the right time.
fn pick() -> impl Strategy<Value = Pick> {
    let nth = prop_oneof![4 => Just(0u8), 1 => 0..4u8];
    (nth, prop::bool::weighted(0.08)).prop_map(|(nth, any)| Pick { nth, any })
}

fn nth() -> impl Strategy<Value = u8> {
    0..3u8
}

fn act() -> impl Strategy<Value = Act> {
    let what = prop_oneof![Just(What::Message), Just(What::Info), Just(What::Options)];
    let offers = || prop::bool::weighted(0.75);
    prop_oneof![
        14 => (phone(), to(), offers()).prop_map(|(from, to, offers)| Act::Call { from, to, offers }),
        12 => (phone(), to(), offers(), any::<bool>())
            .prop_map(|(from, to, offers, rings)| Act::Talk { from, to, offers, rings }),
        4 => any::<bool>().prop_map(|describes| Act::RingAll { describes }),
        8 => (pick(), any::<bool>(), any::<bool>())
            .prop_map(|(call, progress, describes)| Act::Ring { call, progress, describes }),
        14 => pick().prop_map(|call| Act::Accept { call }),
        2 => (pick(), any::<bool>()).prop_map(|(call, busy)| Act::Refuse { call, busy }),
        4 => pick().prop_map(|call| Act::HangUp { call }),
        7 => (pick(), offers()).prop_map(|(call, offers)| Act::Reinvite { call, offers }),
        7 => (pick(), offers()).prop_map(|(call, offers)| Act::Update { call, offers }),
        4 => pick().prop_map(|call| Act::Answer { call }),
        2 => (pick(), phone()).prop_map(|(call, to)| Act::Refer { call, to }),
        2 => (pick(), pick()).prop_map(|(call, other)| Act::Transfer { call, other }),
        2 => (pick(), phone()).prop_map(|(call, by)| Act::Replace { call, by }),
        1 => (pick(), phone()).prop_map(|(call, by)| Act::Join { call, by }),
        2 => (pick(), what).prop_map(|(call, what)| Act::Send { call, what }),
        1 => (phone(), to()).prop_map(|(from, to)| Act::Text { from, to }),
        3 => (phone(), to(), any::<bool>())
            .prop_map(|(from, to, short)| Act::Subscribe { from, to, short }),
        1 => nth().prop_map(|nth| Act::Refresh { nth }),
        1 => nth().prop_map(|nth| Act::Unsubscribe { nth }),
        3 => nth().prop_map(|nth| Act::Notify { nth }),
        1 => (nth(), any::<bool>()).prop_map(|(nth, retry)| Act::Terminate { nth, retry }),
        1 => phone().prop_map(|phone| Act::DropAll { phone }),
        1 => (phone(), any::<bool>())
            .prop_map(|(phone, moves)| Act::NetworkChanged { phone, moves }),
        1 => (phone(), phone(), 1..60u8)
            .prop_map(|(phone, other, seconds)| Act::Part { phone, other, seconds }),
    ]
}

/// Most things follow each other closely, where the races are; and when they happen does not depend on those before,
/// so that those can be left out.
fn step() -> impl Strategy<Value = Step> {
    const SLOTS: [u32; 12] = [0, 1, 3, 7, 12, 20, 30, 45, 80, 120, 124, 200];
    let slot = prop_oneof![3 => 0..4usize, 2 => 4..SLOTS.len()];
    let offset = prop_oneof![5 => 0..60u32, 4 => 60..1_500u32, 2 => 1_500..7_000u32];
    (slot, offset, act()).prop_map(|(slot, offset, act)| {
        let at = SLOTS[slot].saturating_mul(1_000).saturating_add(offset);
        Step { at, act }
    })
}

fn manner() -> impl Strategy<Value = Manner> {
    let reliable = prop_oneof![
        6 => Just(Reliable::Supported),
        1 => Just(Reliable::Never),
        2 => Just(Reliable::Required),
    ];
    let answers = prop_oneof![
        4 => Just(Answers::AtOnce),
        3 => (1..4_000u16).prop_map(Answers::Late),
        1 => Just(Answers::Seldom),
    ];
    (reliable, prop::bool::weighted(0.3), answers).prop_map(
        |(reliable, short_sessions, answers)| Manner { reliable, short_sessions, answers },
    )
}

pub fn script() -> impl Strategy<Value = Script> {
    let weather = prop_oneof![
        3 => Just(Weather::Fair),
        3 => Just(Weather::Rain),
        2 => Just(Weather::Storm),
    ];
    let manners = [manner(), manner(), manner()];
    // The seed stays as it is while a failure is made smaller: another is another network.
    (any::<u64>().no_shrink(), weather, manners, prop::collection::vec(step(), 1..36))
        .prop_map(|(seed, weather, manners, steps)| Script { seed, weather, manners, steps })
}
