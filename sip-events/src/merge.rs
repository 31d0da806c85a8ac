//! How partial states are put together: the rule that dialog, reg and conference packages share.

/// What became of a document that was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The state is as the document says.
    Applied,
    /// The same, but something before it is missing: ask for the whole state by a refresh.
    Gap,
    /// It is older than what is known, and was left out.
    Stale,
}

/// What was known before the document with this version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(Option<u32>);

impl Version {
    /// What is to be done with a document of this version.
    pub(crate) fn meets(&mut self, version: u32, full: bool) -> Merged {
        let known = self.0;
        match known {
            // RFC 4235 §4.3: "If the
            // value in the document is less than the local version, the
            // document is discarded without processing."
            Some(known) if version < known => return Merged::Stale,
            // The same one again says nothing new; but a full one repairs.
            Some(known) if version == known && !full => return Merged::Stale,
            _ => self.0 = Some(version),
        }
        // RFC 4235 §4.3: "If the
        // document did not contain full state, the subscriber SHOULD generate a
        // refresh request (SUBSCRIBE) to trigger a full state notification."
        let follows = known.is_some_and(|known| known.checked_add(1) == Some(version));
        if full || follows { Merged::Applied } else { Merged::Gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let mut version = Version::default();
        for (number, full, merged) in [
            (5, true, Merged::Applied),
            (6, false, Merged::Applied),
            (6, false, Merged::Stale),
            (4, true, Merged::Stale),
            (9, false, Merged::Gap),
            (10, false, Merged::Applied),
            (10, true, Merged::Applied),
            (20, true, Merged::Applied),
            (u32::MAX, true, Merged::Applied),
            (u32::MAX, false, Merged::Stale),
        ] {
            assert_eq!(version.meets(number, full), merged, "{number}");
        }
        // The first is expected to be whole.
        assert_eq!(Version::default().meets(0, false), Merged::Gap);
    }
}
