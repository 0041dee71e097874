//! What a failure says about the job: try again, give up, or stand still.

/// Whose fault a failure is, and so who pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Passes by itself: a lock, a full disk, a network. Tried again later; counts as an attempt.
    Transient,
    /// A remote side asked to slow down. Tried again later; does not count.
    RateLimited,
    /// The server of a remote model cannot be reached, or fails: no document is at fault. Tried again
    /// later; does not count.
    Outage,
    /// This document cannot be indexed as it is. Given up until it changes or is retried.
    Row,
    /// Nothing can be indexed until someone changes something. The collection pauses.
    Configuration,
}

/// Transient failures of one document before it is given up: with [`super::backoff::delay`] about
/// an hour and three quarters.
pub const MAX_ATTEMPTS: u32 = 16;

impl Failure {
    /// The class of a failure by its five-character SQLSTATE.
    pub fn of_sqlstate(sqlstate: &str) -> Self {
        match sqlstate {
            // Serialization and deadlocks, resources, operator intervention, I/O, connections,
            // a lock not to be had, an object in use, a server that is read-only for now, and a
            // key somebody else inserted at the same time.
            "55P03" | "55006" | "25006" | "23505" => Self::Transient,
            _ if ["40", "53", "57", "58", "08"].iter().any(|class| sqlstate.starts_with(class)) => {
                Self::Transient
            }
            // Names, rights and types; files of models; what this build cannot do; states of objects.
            _ if ["42", "F0", "0A", "3D", "3F", "55", "28"]
                .iter()
                .any(|class| sqlstate.starts_with(class)) =>
            {
                Self::Configuration
            }
            // Values, limits, constraints, and whatever else a single text can do.
            _ => Self::Row,
        }
    }

    /// The word the catalog keeps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate-limited",
            Self::Outage => "outage",
            Self::Row => "row",
            Self::Configuration => "configuration",
        }
    }

    /// Whether all of a generation waits: another document would fare no better now.
    pub fn concerns_all(self) -> bool {
        matches!(self, Self::RateLimited | Self::Outage)
    }

    /// Whether it counts against the document.
    pub fn is_attempt(self) -> bool {
        matches!(self, Self::Transient | Self::Row)
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn sqlstates_fall_into_classes() {
        for (sqlstate, class) in [
            ("40P01", Failure::Transient),
            ("53100", Failure::Transient),
            ("55P03", Failure::Transient),
            ("57014", Failure::Transient),
            ("08006", Failure::Transient),
            ("08P01", Failure::Transient),
            ("53400", Failure::Transient),
            ("28000", Failure::Configuration),
            ("42501", Failure::Configuration),
            ("42P01", Failure::Configuration),
            ("F0000", Failure::Configuration),
            ("55000", Failure::Configuration),
            ("22021", Failure::Row),
            ("54000", Failure::Row),
            ("23514", Failure::Row),
            ("P0001", Failure::Row),
            ("XX000", Failure::Row),
            ("38000", Failure::Row),
            ("", Failure::Row),
        ] {
            assert_eq!(Failure::of_sqlstate(sqlstate), class, "{sqlstate}");
        }
    }
}
