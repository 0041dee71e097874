//! When to try again: what providers say about it, and what is done where they say nothing.
use crate::queue::backoff::doubling;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// First pause where the provider names none.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// Pause after failure number `attempt` (from 1), where the provider names none.
pub(super) fn backoff(attempt: u32, random: f64) -> Duration {
    doubling(FIRST_PAUSE, MAX_PAUSE, attempt, random)
}

/// How long a response asks to wait, by its headers.
///
/// `Retry-After` in seconds or as a date, its variant in milliseconds, and else the time until a
/// limit that is used up is reset (`x-ratelimit-…`, `anthropic-ratelimit-…`).
pub(super) fn asked_pause<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
) -> Option<Duration> {
    let milliseconds = || {
        let value: f64 = header("retry-after-ms")?.trim().parse().ok()?;
        seconds(value / 1000.0)
    };
    milliseconds()
        .or_else(|| header("retry-after").and_then(|value| retry_after(value, now)))
        .or_else(|| time_until_reset(header, now))
}

/// Time until a limit that is used up is reset.
pub(super) fn time_until_reset<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
) -> Option<Duration> {
    const LIMITS: [(&str, &str); 5] = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ];
    let resets = LIMITS.iter().filter_map(|(remaining, reset)| {
        let is_used_up = header(remaining)?.trim().parse::<f64>().ok()? <= 0.0;
        is_used_up.then(|| time_until(header(reset)?.trim(), now)).flatten()
    });
    resets.max()
}

/// `Retry-After`: whole seconds (some send fractions) or an HTTP date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse::<f64>() {
        Ok(number) => seconds(number),
        Err(_) => Some(http_date(value)?.duration_since(now).unwrap_or_default()),
    }
}

fn seconds(number: f64) -> Option<Duration> {
    // A day is as good as never.
    (0.0..=86_400.0).contains(&number).then(|| Duration::from_secs_f64(number))
}

/// A reset: "6m0s", "1.5s", "120ms", a number of seconds or of the epoch, or a date.
fn time_until(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = value.parse::<f64>() {
        let epoch = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        return seconds(if number > 1e9 { (number - epoch).max(0.0) } else { number });
    }
    duration_in_words(value)
        .or_else(|| Some(rfc3339(value)?.duration_since(now).unwrap_or_default()))
}

/// "1h2m3.5s", "20ms".
fn duration_in_words(mut value: &str) -> Option<Duration> {
    let mut total = 0.0;
    while !value.is_empty() {
        let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = value[..digits].parse().ok()?;
        let rest = &value[digits..];
        let (unit, factor) = [("ms", 0.001), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * factor;
        value = &rest[unit.len()..];
    }
    seconds(total)
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", the one form that servers may send today.
fn http_date(value: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = value.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u32 + 1;
    moment(year, month, day, time)
}

/// "2025-01-01T00:00:00Z", perhaps with a fraction, which is left out.
fn rfc3339(value: &str) -> Option<SystemTime> {
    let (date, time) = value.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    moment(year, month.parse().ok()?, day, time.split('.').next()?)
}

fn moment(year: &str, month: u32, day: &str, time: &str) -> Option<SystemTime> {
    let parts: Vec<u64> = time.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [hour @ 0..24, minute @ 0..60, second @ 0..=60] = parts[..] else { return None };
    let (year, day): (i64, i64) = (year.parse().ok()?, day.parse().ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil calendar, years beginning in March so that leap days come last.
    let (y, m) = (if month < 3 { year - 1 } else { year }, (i64::from(month) + 9) % 12);
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = u64::try_from(days).ok()? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2015-10-21 07:28:00 UTC.
    const NOW: u64 = 1_445_412_480;

    fn asked(headers: &[(&str, &str)]) -> Option<f64> {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        asked_pause(header, UNIX_EPOCH + Duration::from_secs(NOW)).map(|d| d.as_secs_f64())
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_dates() {
        assert_eq!(asked(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(asked(&[("retry-after", "0.5")]), Some(0.5));
        assert_eq!(asked(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(0.25));
        assert_eq!(asked(&[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(30.0));
        assert_eq!(asked(&[("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT")]), Some(0.0));
        assert_eq!(asked(&[("retry-after", "Mon, 29 Feb 2016 00:00:00 GMT")]), Some(11_291_520.0));
        for nonsense in [
            "",
            "-1",
            "soon",
            "NaN",
            "inf",
            "1e99",
            "Wed, 21 Foo 2015 07:28:30 GMT",
            "Wed, 21 Oct 2015 25:28:30 GMT",
        ] {
            assert_eq!(asked(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn exhausted_rate_limits_pause_until_their_reset() {
        fn used(reset: &str) -> Option<f64> {
            asked(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", reset)])
        }
        assert_eq!(used("1s"), Some(1.0));
        assert_eq!(used("6m0s"), Some(360.0));
        assert_eq!(used("120ms"), Some(0.12));
        assert_eq!(used("1h2m3.5s"), Some(3723.5));
        assert_eq!(used("20"), Some(20.0));
        assert_eq!(used(&(NOW + 5).to_string()), Some(5.0));
        assert_eq!(used("2015-10-21T07:28:09Z"), Some(9.0));
        assert_eq!(used("later"), None);
        let left = [("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-reset-requests", "9s")];
        assert_eq!(asked(&left), None);
        let both = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2015-10-21T07:28:02Z"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2015-10-21T07:28:04.5Z"),
        ];
        assert_eq!(asked(&both), Some(4.0));
    }

    #[test]
    fn pauses_double_within_bounds() {
        assert_eq!(backoff(1, 0.0), FIRST_PAUSE / 2);
        assert_eq!(backoff(3, 1.0), FIRST_PAUSE * 4);
        assert_eq!(backoff(u32::MAX, 1.0), MAX_PAUSE);
    }
}
