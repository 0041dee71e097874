//! Classes of failures: retry the job, give it up, or pause.

/// The class of a failure: what it costs the document, the model or the collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Passes by itself: a lock, a lack of memory, a network. Tried again later; counts as an attempt.
    Transient,
    /// A remote side asked to slow down. Tried again later; does not count.
    RateLimited,
    /// The server of a remote model cannot be reached, or fails, or a disk does: no document is at fault. Tried
    /// again later; does not count.
    Outage,
    /// This document cannot be indexed as it is. Given up until it changes or is retried.
    Row,
    /// Nothing can be indexed until someone changes something. The collection pauses.
    Configuration,
}

/// Transient failures of one document before it is given up: with [`super::backoff::delay`] about
/// an hour and three quarters.
pub const MAX_ATTEMPTS: u32 = 16;

/// How often a document failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// In all.
    pub all: u32,
    /// Of these, the last in a row in which it may have been at fault, or not.
    pub doubtful: u32,
}

impl Attempts {
    /// Counts a failure. `doubtful` is `Some(n)` for one that can be an accident, but not n times in a row. Returns the
    /// failure's class, `Row` if it is certain by now, and whether the document is given up.
    pub fn count(&mut self, class: Failure, doubtful: Option<u32>) -> (Failure, bool) {
        if !class.is_attempt() {
            return (class, false);
        }
        self.all += 1;
        self.doubtful = if doubtful.is_some() { self.doubtful + 1 } else { 0 };
        let is_certain = doubtful.is_some_and(|most| self.doubtful >= most);
        let class = if is_certain { Failure::Row } else { class };
        (class, class == Failure::Row || self.all >= MAX_ATTEMPTS)
    }
}

impl Failure {
    /// The class of a failure by its five-character SQLSTATE. docs/reference/work.md has the same table.
    ///
    /// A document is charged only where its own text can be the reason. What PostgreSQL reports about itself, a
    /// damaged index for one, and what is not known here says nothing about any document.
    pub fn of_sqlstate(sqlstate: &str) -> Self {
        match sqlstate {
            // A disk that is full or broken: no document is at fault, and the next fares no better.
            "53100" | "58000" | "58030" => Self::Outage,
            // A lock not to be had, an object in use, a server that is read-only for now, a key somebody else
            // inserted at the same time, an enum value of a transaction under way, a foreign server away.
            "55P03" | "55006" | "25006" | "23505" | "55P04" | "HV00N" => Self::Transient,
            // A sequence that has come to its end, whose next caller fares no better.
            "2200H" => Self::Configuration,
            // A function that was given NULL.
            "39004" => Self::Row,
            _ => Self::of_class(sqlstate.get(..2).unwrap_or_default()),
        }
    }

    /// The class of a failure by the first two characters of its SQLSTATE.
    fn of_class(class: &str) -> Self {
        match class {
            // Connections, serialization and deadlocks, resources, operator intervention, snapshot too old.
            "08" | "40" | "53" | "57" | "72" => Self::Transient,
            // Values, constraints, limits of a row or a statement, and what functions, policies and triggers of the
            // owner's raise about a row: CASE not found, more than one row, a check option, their own exceptions.
            "20" | "21" | "22" | "23" | "2F" | "38" | "44" | "54" | "P0" => Self::Row,
            // Names, rights and types; files of models; what this build cannot do; states of objects. Internal
            // errors and damaged data (XX). And any class that PostgreSQL does not have yet.
            _ => Self::Configuration,
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
    use super::{Attempts, Failure, MAX_ATTEMPTS};

    #[test]
    fn failures_that_can_be_accidents_count_in_a_row() {
        use Failure::{Outage, Row, Transient};
        let mut attempts = Attempts::default();
        for (doubtful, class, is_given_up) in [
            (Some(6), Transient, false),
            (Some(4), Transient, false),
            (Some(4), Transient, false),
            // A lock, say.
            (None, Transient, false),
            (Some(4), Transient, false),
            (Some(6), Transient, false),
            (Some(4), Transient, false),
            (Some(4), Row, true),
        ] {
            assert_eq!(attempts.count(Outage, None), (Outage, false));
            assert_eq!(attempts.count(Transient, doubtful), (class, is_given_up));
        }
        assert_eq!(attempts, Attempts { all: 8, doubtful: 4 });
        assert_eq!(Attempts::default().count(Row, None), (Row, true));
        let mut attempts = Attempts::default();
        let ends = (1..=MAX_ATTEMPTS).map(|n| attempts.count(Transient, (n % 2 == 0).then_some(4)));
        assert_eq!(ends.filter(|end| end.1).count(), 1);
        assert_eq!(attempts.all, MAX_ATTEMPTS);
    }

    /// What PostgreSQL 15 to 18 raise, by class, and what each is about. Where codes of a class differ, so they are named.
    const TABLE: [(&str, Failure); 44] = [
        ("00", Failure::Configuration),
        ("01", Failure::Configuration),
        ("02", Failure::Configuration),
        ("03", Failure::Configuration),
        ("08", Failure::Transient),
        ("09", Failure::Configuration),
        ("0A", Failure::Configuration),
        ("0B", Failure::Configuration),
        ("0F", Failure::Configuration),
        ("0L", Failure::Configuration),
        ("0P", Failure::Configuration),
        ("0Z", Failure::Configuration),
        ("10", Failure::Configuration),
        ("20", Failure::Row),
        ("21", Failure::Row),
        ("22", Failure::Row),
        ("23", Failure::Row),
        ("24", Failure::Configuration),
        ("25", Failure::Configuration),
        ("26", Failure::Configuration),
        ("27", Failure::Configuration),
        ("28", Failure::Configuration),
        ("2B", Failure::Configuration),
        ("2D", Failure::Configuration),
        ("2F", Failure::Row),
        ("34", Failure::Configuration),
        ("38", Failure::Row),
        ("39", Failure::Configuration),
        ("3B", Failure::Configuration),
        ("3D", Failure::Configuration),
        ("3F", Failure::Configuration),
        ("40", Failure::Transient),
        ("42", Failure::Configuration),
        ("44", Failure::Row),
        ("53", Failure::Transient),
        ("54", Failure::Row),
        ("55", Failure::Configuration),
        ("57", Failure::Transient),
        ("58", Failure::Configuration),
        ("72", Failure::Transient),
        ("F0", Failure::Configuration),
        ("HV", Failure::Configuration),
        ("P0", Failure::Row),
        ("XX", Failure::Configuration),
    ];

    const EXCEPTIONS: [(&str, Failure); 11] = [
        ("2200H", Failure::Configuration),
        ("23505", Failure::Transient),
        ("25006", Failure::Transient),
        ("39004", Failure::Row),
        ("53100", Failure::Outage),
        ("55006", Failure::Transient),
        ("55P03", Failure::Transient),
        ("55P04", Failure::Transient),
        ("58000", Failure::Outage),
        ("58030", Failure::Outage),
        ("HV00N", Failure::Transient),
    ];

    fn expected(sqlstate: &str) -> Option<Failure> {
        let exception = EXCEPTIONS.iter().find(|(code, _)| *code == sqlstate);
        let class = || TABLE.iter().find(|(class, _)| sqlstate.starts_with(class));
        exception.or_else(class).map(|(_, failure)| *failure)
    }

    /// `errcodes.txt` lies in the share directory of every installed PostgreSQL.
    #[test]
    fn every_sqlstate_of_postgresql_has_its_class() {
        let mut checked = 0;
        for major in 15..=18 {
            let path = format!("/usr/share/postgresql/{major}/errcodes.txt");
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let codes = text.lines().filter(|line| line.contains("ERRCODE_"));
            for sqlstate in codes.filter_map(|line| line.split_whitespace().next()) {
                let expected = expected(sqlstate);
                assert!(expected.is_some(), "{sqlstate} is in no class of the table");
                assert_eq!(Some(Failure::of_sqlstate(sqlstate)), expected, "{sqlstate}");
                checked += 1;
            }
        }
        assert!(checked == 0 || checked > 200, "{checked}");
    }

    #[test]
    fn sqlstates_fall_into_classes() {
        for (class, failure) in TABLE {
            assert_eq!(Failure::of_sqlstate(&format!("{class}999")), failure, "{class}");
        }
        for (sqlstate, failure) in EXCEPTIONS {
            assert_eq!(Failure::of_sqlstate(sqlstate), failure, "{sqlstate}");
        }
    }

    #[test]
    fn what_postgresql_says_of_itself_is_no_documents_fault() {
        for sqlstate in ["XX000", "XX001", "XX002", "58P01", "U1234", "99999", "", "é"] {
            assert_eq!(Failure::of_sqlstate(sqlstate), Failure::Configuration, "{sqlstate}");
        }
    }

    #[test]
    fn the_reference_has_the_same_table() {
        let reference = include_str!("../../../../docs/reference/work.md");
        let rows: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `")).collect();
        let row = |failure: Failure| {
            let name = format!("`{}`", failure.name());
            let is_it = |row: &&&str| row.split('|').nth(1).is_some_and(|c| c.contains(&name));
            rows.iter().find(is_it).map_or("", |row| row.split('|').nth(2).unwrap_or(""))
        };
        for (class, failure) in TABLE.into_iter().chain(EXCEPTIONS) {
            if failure != Failure::Configuration || EXCEPTIONS.iter().any(|(c, _)| *c == class) {
                assert!(row(failure).contains(class), "{class} is not in the row of {failure:?}");
            }
        }
    }
}
