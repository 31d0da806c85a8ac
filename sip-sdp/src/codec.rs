//! Media formats of RTP: codecs, their numbers, and when two of them are the same.

use std::borrow::Cow;

/// A media format of RTP: encoding name, clock rate, channels and format parameters.
///
/// ```
/// use sip_sdp::Codec;
/// let opus = Codec::new("opus", 48_000).channels(2).parameters("useinbandfec=1");
/// assert_eq!(opus.to_string(), "opus/48000/2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    pub(crate) name: Cow<'static, str>,
    pub(crate) clock_rate: u32,
    pub(crate) channels: u8,
    pub(crate) parameters: Option<Cow<'static, str>>,
    pub(crate) preferred: Option<u8>,
    pub(crate) rule: ParameterRule,
}

impl Codec {
    /// G.711 µ-law.
    pub const PCMU: Self = Self::constant("PCMU", 8000, 1, ParameterRule::Free);
    /// G.711 A-law.
    pub const PCMA: Self = Self::constant("PCMA", 8000, 1, ParameterRule::Free);
    /// G.722, whose clock rate is 8000 Hz in SDP though it samples at 16000 (RFC 3551 §4.5.2).
    pub const G722: Self = Self::constant("G722", 8000, 1, ParameterRule::Free);
    /// G.729.
    pub const G729: Self =
        Self::constant("G729", 8000, 1, ParameterRule::Same(&[("annexb", "yes")]));
    /// Comfort noise at 8000 Hz.
    pub const CN: Self = Self::constant("CN", 8000, 1, ParameterRule::Free);
    /// Opus, which is always said with 48000 Hz and two channels.
    pub const OPUS: Self = Self::constant("opus", 48_000, 2, ParameterRule::Free);

    const fn constant(
        name: &'static str,
        clock_rate: u32,
        channels: u8,
        rule: ParameterRule,
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            clock_rate,
            channels,
            parameters: None,
            preferred: None,
            rule,
        }
    }

    /// A codec of one channel without parameters. Its number is that of RFC 3551 §6 if it has one there,
    /// else a dynamic one.
    ///
    /// Its parameters are compared by what its name asks for: see [`ParameterRule`].
    pub fn new(name: impl Into<Cow<'static, str>>, clock_rate: u32) -> Self {
        let name = name.into();
        let rule = ParameterRule::of(&name);
        Self { name, clock_rate, channels: 1, parameters: None, preferred: None, rule }
    }

    /// The named telephone events of RFC 4733 that we take, such as `0-15` (DTMF) or `0-15,66,70`, at the
    /// clock rate of the codec that they go with.
    ///
    /// An answer lists the events that both sides know.
    pub fn telephone_event(clock_rate: u32, events: impl Into<Cow<'static, str>>) -> Self {
        Self::new("telephone-event", clock_rate).parameters(events)
    }

    /// How many channels; 1 unless said.
    #[must_use]
    pub fn channels(self, channels: u8) -> Self {
        Self { channels: channels.max(1), ..self }
    }

    /// The format parameters: what stands behind the number in `a=fmtp`.
    #[must_use]
    pub fn parameters(self, parameters: impl Into<Cow<'static, str>>) -> Self {
        Self { parameters: Some(parameters.into()), ..self }
    }

    /// The payload type that offers give it if that is free: for peers that want the usual number.
    #[must_use]
    pub fn payload_type(self, number: u8) -> Self {
        Self { preferred: Some(number), ..self }
    }

    /// How format parameters are compared, in place of what its name asks for.
    #[must_use]
    pub fn comparing(self, rule: ParameterRule) -> Self {
        Self { rule, ..self }
    }

    /// The encoding name, as said by who named it. Names are compared without regard to case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ticks a second of its RTP timestamps.
    #[must_use]
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// How many channels.
    #[must_use]
    pub fn channel_count(&self) -> u8 {
        self.channels
    }

    /// What stands in `a=fmtp`.
    #[must_use]
    pub fn fmtp(&self) -> Option<&str> {
        self.parameters.as_deref()
    }

    /// Whether it carries no sound or picture of its own but goes beside what does: telephone events,
    /// comfort noise, redundancy, retransmission, error correction.
    #[must_use]
    pub fn is_auxiliary(&self) -> bool {
        const AUXILIARY: [&str; 7] =
            ["telephone-event", "tone", "CN", "red", "rtx", "ulpfec", "flexfec-03"];
        AUXILIARY.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// The events of RFC 4733 that it takes.
    ///
    /// ```
    /// use sip_sdp::Codec;
    /// let events = Codec::telephone_event(8000, "0-15,66").events().unwrap();
    /// assert!(events.contains(11) && events.contains(66) && !events.contains(16));
    /// ```
    #[must_use]
    pub fn events(&self) -> Option<Events> {
        let named = self.name.eq_ignore_ascii_case("telephone-event");
        named.then(|| Events::parse(self.fmtp())).flatten()
    }

    /// Whether the names, rates and channels are equal.
    pub(crate) fn is_named_as(&self, other: &Self) -> bool {
        self.clock_rate == other.clock_rate
            && self.channels == other.channels
            && self.name.eq_ignore_ascii_case(&other.name)
    }

    /// The parameters with which we answer `theirs` if it is the same format.
    pub(crate) fn answering(&self, theirs: &Self) -> Option<Option<Cow<'static, str>>> {
        if !self.is_named_as(theirs) {
            return None;
        }
        self.rule.answer(self.parameters.as_ref(), theirs.fmtp())
    }

    /// The static number of RFC 3551.
    pub(crate) fn static_number(&self) -> Option<u8> {
        STATIC
            .iter()
            .find(|(_, name, rate, channels)| {
                (*rate, *channels) == (self.clock_rate, self.channels)
                    && self.name.eq_ignore_ascii_case(name)
            })
            .map(|(number, ..)| *number)
    }

    /// What a static number stands for without an `a=rtpmap`.
    pub(crate) fn of_static(number: u8) -> Option<Self> {
        let (_, name, rate, channels) = STATIC.iter().find(|row| row.0 == number)?;
        Some(Self::new(*name, *rate).channels(*channels))
    }

    /// The value of an `a=rtpmap` behind its number: `opus/48000/2`.
    pub(crate) fn parse(encoding: &str) -> Option<Self> {
        let mut parts = encoding.split('/');
        let name = parts.next().filter(|name| is_token(name))?;
        let clock_rate = parts.next()?.parse().ok().filter(|rate| *rate > 0)?;
        let channels = match parts.next() {
            // Some write `PCMU/8000/`.
            None | Some("") => 1,
            Some(count) => count.parse().ok().filter(|count| *count > 0)?,
        };
        let known = KNOWN.iter().find(|known| **known == name);
        let name = known.map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known));
        parts.next().is_none().then(|| Self::new(name, clock_rate).channels(channels))
    }
}

impl core::fmt::Display for Codec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.name, self.clock_rate)?;
        if self.channels > 1 {
            write!(f, "/{}", self.channels)?;
        }
        Ok(())
    }
}

/// A codec and the payload type that stands for it in one direction of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it stands for, with the parameters that the one who receives it has said.
    pub codec: Codec,
}

/// When the format parameters of an offer fit ours, and what is answered to them (RFC 3264 §6.1: some are
/// part of what the format is, others are each side's own).
#[derive(Clone, Copy, Debug)]
pub enum ParameterRule {
    /// Each side says its own, and any fit: Opus, and what is not known here.
    Free,
    /// These must be equal, or be left out by who means the value said here; what is answered is the offer's
    /// for these and ours for the rest. G.729 (`annexb`), H.264 (`packetization-mode`, `profile-level-id`
    /// without its level), VP9 (`profile-id`), iLBC and AMR are compared so.
    Same(&'static [(&'static str, &'static str)]),
    /// All must be equal, in any order.
    Equal,
    /// The events that both know: RFC 4733.
    Events,
    /// A rule of one's own: takes ours and theirs, gives the answer's, or `None` if they do not fit.
    By(fn(Option<&str>, Option<&str>) -> Option<Option<String>>),
}

impl PartialEq for ParameterRule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Free, Self::Free)
            | (Self::Equal, Self::Equal)
            | (Self::Events, Self::Events) => true,
            (Self::Same(ours), Self::Same(theirs)) => ours == theirs,
            (Self::By(ours), Self::By(theirs)) => core::ptr::fn_addr_eq(*ours, *theirs),
            _ => false,
        }
    }
}

impl Eq for ParameterRule {}

impl ParameterRule {
    fn of(name: &str) -> Self {
        let rule = RULES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        rule.map_or(Self::Free, |(_, rule)| *rule)
    }

    fn answer(
        self,
        ours: Option<&Cow<'static, str>>,
        theirs: Option<&str>,
    ) -> Option<Option<Cow<'static, str>>> {
        match self {
            Self::Free => Some(ours.cloned()),
            Self::Same(keys) => {
                let fits = |(key, default): &(&str, &str)| {
                    let said =
                        |text: Option<&str>| parameter(text, key).unwrap_or(default).to_owned();
                    fits(key, &said(ours.map(AsRef::as_ref)), &said(theirs))
                };
                keys.iter().all(fits).then(|| merged(keys, ours, theirs))
            }
            Self::Equal => {
                let sorted = |text: Option<&str>| {
                    let mut all: Vec<String> =
                        parameters(text).map(str::to_ascii_lowercase).collect();
                    all.sort();
                    all
                };
                let equal = sorted(ours.map(AsRef::as_ref)) == sorted(theirs);
                equal.then(|| theirs.map(|text| Cow::Owned(text.to_owned())))
            }
            Self::Events => {
                // RFC 4733 §2.5.1.1: "if no "events" parameter is received, the sender SHOULD assume support
                // for the DTMF events 0-15 but for no other events."
                let ours = Events::parse(ours.map(AsRef::as_ref))?;
                let theirs = Events::parse(theirs)?;
                let common = ours.and(&theirs);
                (!common.is_empty()).then(|| Some(Cow::Owned(common.to_string())))
            }
            Self::By(rule) => {
                rule(ours.map(AsRef::as_ref), theirs).map(|answer| answer.map(Cow::Owned))
            }
        }
    }
}

/// The parameters that are part of what the format is, and what leaving them out means.
const RULES: [(&str, ParameterRule); 9] = [
    ("telephone-event", ParameterRule::Events),
    ("G729", ParameterRule::Same(&[("annexb", "yes")])),
    ("H264", ParameterRule::Same(&[("packetization-mode", "0"), (PROFILE, "42000a")])),
    ("VP9", ParameterRule::Same(&[("profile-id", "0")])),
    ("iLBC", ParameterRule::Same(&[("mode", "30")])),
    ("AMR", AMR),
    ("AMR-WB", AMR),
    ("G7221", ParameterRule::Same(&[("bitrate", "")])),
    ("rtx", ParameterRule::Equal),
];

const AMR: ParameterRule =
    ParameterRule::Same(&[("octet-align", "0"), ("interleaving", ""), ("crc", "0")]);
const PROFILE: &str = "profile-level-id";

/// Whether two values of a parameter are of one format.
fn fits(key: &str, ours: &str, theirs: &str) -> bool {
    if key != PROFILE {
        return ours.eq_ignore_ascii_case(theirs);
    }
    // Profile and constraints are the format, the level is what each side can receive.
    let profile = |value: &str| value.get(..4).map(str::to_ascii_lowercase);
    profile(ours).is_some() && profile(ours) == profile(theirs)
}

/// The offer's value of each of `keys`, and of the others ours.
fn merged(
    keys: &[(&str, &str)],
    ours: Option<&Cow<'static, str>>,
    theirs: Option<&str>,
) -> Option<Cow<'static, str>> {
    let is_key = |one: &str| keys.iter().any(|(key, _)| name_of(one).eq_ignore_ascii_case(key));
    let text = ours.map(AsRef::as_ref);
    let mut all: Vec<&str> = parameters(theirs).filter(|one| is_key(one)).collect();
    all.extend(parameters(text).filter(|one| !is_key(one)));
    (!all.is_empty()).then(|| Cow::Owned(all.join(";")))
}

fn parameters(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(';').map(str::trim).filter(|one| !one.is_empty())
}

fn name_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name.trim_end())
}

fn parameter<'a>(text: Option<&'a str>, key: &str) -> Option<&'a str> {
    parameters(text)
        .filter_map(|one| one.split_once('='))
        .find(|(name, _)| name.trim_end().eq_ignore_ascii_case(key))
        .map(|(_, value)| value.trim())
}

/// A set of the events 0 to 255 of RFC 4733 §2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events([u128; 2]);

impl Events {
    /// Nothing said means DTMF; `None` if what is said is no list of events.
    fn parse(text: Option<&str>) -> Option<Self> {
        let mut set = Self([0; 2]);
        for element in text.unwrap_or("0-15").trim().split(',') {
            // RFC 4733 §2.4: "Each element can be either a single integer providing the value of an event
            // code or an integer followed by a hyphen and a larger integer"
            let (first, last) = element.split_once('-').unwrap_or((element, element));
            let (first, last): (u8, u8) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first..=last).for_each(|event| set.insert(event));
        }
        Some(set)
    }

    /// Whether an event is in it: 0 to 9 are the digits, 10 is `*`, 11 is `#`, 12 to 15 are A to D.
    #[must_use]
    pub fn contains(&self, event: u8) -> bool {
        let [low, high] = self.0;
        let half = if event < 128 { low } else { high };
        half >> (event & 127) & 1 == 1
    }

    fn insert(&mut self, event: u8) {
        let [low, high] = &mut self.0;
        let half = if event < 128 { low } else { high };
        *half |= 1 << (event & 127);
    }

    fn and(&self, other: &Self) -> Self {
        let ([low, high], [other_low, other_high]) = (self.0, other.0);
        Self([low & other_low, high & other_high])
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 2]
    }
}

/// As `a=fmtp` says it: ascending, runs as ranges.
impl core::fmt::Display for Events {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut events = (0..=u8::MAX).filter(|event| self.contains(*event)).peekable();
        let mut comma = "";
        while let Some(first) = events.next() {
            let mut last = first;
            while let Some(next) = events.next_if_eq(&last.saturating_add(1)) {
                last = next;
            }
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

/// The numbers that a session may bind to any codec.
pub(crate) fn is_dynamic(number: u8) -> bool {
    // RFC 3551 §6: "payload type values in the range 96-127 MAY be defined dynamically"
    // Those from 35 to 63 are unassigned, and RTCP on the same port cannot be taken for them.
    matches!(number, 96..=127 | 35..=63)
}

/// The dynamic numbers in the order in which we take them.
pub(crate) fn dynamic_numbers() -> impl Iterator<Item = u8> {
    (96..=127).chain(35..=63)
}

pub(crate) fn is_token(text: &str) -> bool {
    // RFC 8866 §9: token-char.
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte))
}

/// RFC 3551 §6, tables 4 and 5; of MPA the channels are not said there.
#[rustfmt::skip]
const STATIC: [(u8, &str, u32, u8); 24] = [
    (0, "PCMU", 8000, 1), (3, "GSM", 8000, 1), (4, "G723", 8000, 1), (5, "DVI4", 8000, 1),
    (6, "DVI4", 16_000, 1), (7, "LPC", 8000, 1), (8, "PCMA", 8000, 1), (9, "G722", 8000, 1),
    (10, "L16", 44_100, 2), (11, "L16", 44_100, 1), (12, "QCELP", 8000, 1), (13, "CN", 8000, 1),
    (14, "MPA", 90_000, 1), (15, "G728", 8000, 1), (16, "DVI4", 11_025, 1), (17, "DVI4", 22_050, 1),
    (18, "G729", 8000, 1), (25, "CelB", 90_000, 1), (26, "JPEG", 90_000, 1), (28, "nv", 90_000, 1),
    (31, "H261", 90_000, 1), (32, "MPV", 90_000, 1), (33, "MP2T", 90_000, 1), (34, "H263", 90_000, 1),
];

/// The names that need no memory of their own.
const KNOWN: [&str; 16] = [
    "PCMU",
    "PCMA",
    "G722",
    "G729",
    "GSM",
    "G723",
    "CN",
    "opus",
    "telephone-event",
    "iLBC",
    "speex",
    "H264",
    "VP8",
    "H261",
    "H263",
    "rtx",
];

#[cfg(test)]
mod tests;
