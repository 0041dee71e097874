use super::*;
use crate::queue::failure::{Attempts, Failure as Class};
use std::cell::Cell;
use std::collections::HashMap;

#[test]
fn failures_are_blamed_as_the_reference_says() {
    use FailureKind::{
        Exhausted, Failed, Model, Outage, RateLimited, Refused, Slow, TooLarge, Unusable,
    };
    use Step::{Divide, End, Halve, Probe, Repeat};
    let doubtful = |attempts| End(Blame::Doubtful { attempts });
    let size = Size::Tokens;
    let all = End(Blame::Model);
    let rest = End(Blame::Outage);
    // By what is known of others: nothing, they succeed, they fail; several texts, then one.
    for (kind, several, one) in [
        (Model, [all; 3], [all; 3]),
        (RateLimited, [End(Blame::RateLimited); 3], [End(Blame::RateLimited); 3]),
        (Refused, [Halve, Halve, all], [Probe, Repeat, all]),
        (Unusable, [Halve, Halve, all], [Probe, Repeat, all]),
        (Failed, [Halve, Halve, rest], [Probe, doubtful(6), rest]),
        (Outage, [Probe, Halve, rest], [Probe, doubtful(16), rest]),
        (TooLarge(size), [Divide(size), Divide(size), all], [Probe, End(Blame::Text), all]),
        (Exhausted(size), [Divide(size), Divide(size), rest], [Probe, doubtful(6), rest]),
        (Slow, [Probe, Divide(Size::Texts), rest], [Probe, doubtful(6), rest]),
    ] {
        for (i, others) in [None, Some(true), Some(false)].into_iter().enumerate() {
            let step = |texts, failures| decide(kind, Evidence { texts, others, failures });
            assert_eq!(step(20, 1), several[i], "{kind:?} {others:?}");
            assert_eq!(step(1, 1), one[i], "{kind:?} {others:?}");
            // That it failed with others, or twice in a moment, proves nothing.
            let again = match one[i] {
                Repeat => doubtful(if kind == Refused { 4 } else { 6 }),
                step => step,
            };
            for failures in 2..10 {
                let step = step(1, failures);
                assert!(step == again || step == Probe, "{kind:?} {others:?} {step:?}");
            }
            assert_eq!(step(1, 2), again, "{kind:?} {others:?}");
        }
    }
}

/// A provider by a rule: what it says to a request of these texts; a probe is one that has none.
struct Simulated<F> {
    rule: F,
    requests: Vec<usize>,
    results: Vec<bool>,
    rejected: HashMap<usize, Blame>,
    learnt: Option<usize>,
    /// Whether requests succeeded just before.
    has_worked: bool,
}

impl<F: Fn(&Range<usize>) -> Option<FailureKind>> Simulated<F> {
    fn ask(&mut self, texts: &Range<usize>) -> Result<(), CallFailure> {
        self.requests.push(texts.len());
        (self.rule)(texts)
            .map_or(Ok(()), |kind| Err(CallFailure::new(kind, Error::model(format!("{kind:?}")))))
    }
}

impl<F: Fn(&Range<usize>) -> Option<FailureKind>> Sender for Simulated<F> {
    fn send(&mut self, texts: Range<usize>) -> Result<(), CallFailure> {
        self.ask(&texts)?;
        self.results[texts].fill(true);
        Ok(())
    }
    fn probe(&mut self) -> Result<(), CallFailure> {
        self.ask(&(0..0))
    }
    fn has_others(&self) -> bool {
        false
    }
    fn pieces(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        let most = self.learnt.unwrap_or(usize::MAX).min(texts.len());
        let ends = texts.clone().step_by(most).map(|start| start..(start + most).min(texts.end));
        ends.collect()
    }
    fn learn(&mut self, _: Size, worked: Range<usize>) {
        self.learnt = Some(self.learnt.unwrap_or(usize::MAX).min(worked.len()));
    }
    fn blames_size(&mut self, kind: FailureKind) -> bool {
        kind != FailureKind::Failed
    }
    fn note_refusal(&mut self) -> bool {
        std::mem::take(&mut self.has_worked)
    }
    fn reject(&mut self, text: usize, fault: Fault) {
        self.rejected.insert(text, fault.blame);
    }
}

fn simulated<F: Fn(&Range<usize>) -> Option<FailureKind>>(texts: usize, rule: F) -> Simulated<F> {
    Simulated {
        rule,
        requests: Vec::new(),
        results: vec![false; texts],
        rejected: HashMap::new(),
        learnt: None,
        has_worked: false,
    }
}

/// Sends so many texts in one request, and finds out where that fails.
fn run<F: Fn(&Range<usize>) -> Option<FailureKind>>(
    texts: usize,
    rule: F,
) -> (Simulated<F>, Result<(), Blame>) {
    let mut provider = simulated(texts, rule);
    let result = match provider.send(0..texts) {
        Ok(()) => Ok(()),
        Err(failure) => find_fault(&mut provider, 0..texts, failure).map_err(|fault| fault.blame),
    };
    (provider, result)
}

#[test]
fn one_text_is_found_with_twice_the_logarithm_of_requests() {
    for (kind, blame) in [
        (FailureKind::Refused, Blame::Doubtful { attempts: 4 }),
        (FailureKind::Unusable, Blame::Doubtful { attempts: 6 }),
        (FailureKind::Failed, Blame::Doubtful { attempts: 6 }),
        (FailureKind::TooLarge(Size::Tokens), Blame::Text),
        (FailureKind::Exhausted(Size::Texts), Blame::Doubtful { attempts: 6 }),
    ] {
        for texts in [2, 3, 16, 32, 96, 100, 256] {
            for bad in 0..texts {
                let (provider, result) = run(texts, |r| r.contains(&bad).then_some(kind));
                assert_eq!(result, Ok(()));
                assert_eq!(
                    provider.rejected,
                    HashMap::from([(bad, blame)]),
                    "{kind:?} {bad} of {texts}"
                );
                assert!((0..texts).all(|text| provider.results[text] == (text != bad)));
                let most = 2 * texts.next_power_of_two().ilog2() as usize;
                let more = provider.requests.len() - 1;
                assert!(more <= most, "{kind:?} {bad} of {texts}: {more} more, at most {most}");
                assert_eq!(provider.learnt, None, "no size was at fault");
            }
        }
    }
    // A failure of the network is retried first; that the text is to blame is never certain.
    for kind in [FailureKind::Outage, FailureKind::Slow] {
        let (provider, result) = run(64, |r| r.contains(&40).then_some(kind));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 1));
        assert!(provider.requests.len() <= 1 + 1 + 12, "{kind:?} {:?}", provider.requests);
    }
    // Several of them, next to each other and apart.
    let bad = [3, 4, 5, 60];
    let (provider, _) =
        run(64, |r| bad.iter().any(|b| r.contains(b)).then_some(FailureKind::Refused));
    assert!(bad.iter().all(|b| provider.rejected.contains_key(b)) && provider.rejected.len() == 4);
    assert!(provider.results.iter().filter(|got| **got).count() == 60);
}

#[test]
fn where_nothing_succeeds_no_text_is_charged_and_few_requests_are_spent() {
    for (kind, blame, most) in [
        (FailureKind::Model, Blame::Model, 1),
        (FailureKind::RateLimited, Blame::RateLimited, 1),
        (FailureKind::Refused, Blame::Model, 6),
        (FailureKind::Unusable, Blame::Model, 6),
        (FailureKind::Failed, Blame::Outage, 4),
        (FailureKind::Outage, Blame::Outage, 2),
        (FailureKind::Slow, Blame::Outage, 2),
    ] {
        for texts in [1, 2, 100] {
            let (provider, result) = run(texts, |_| Some(kind));
            assert_eq!(result, Err(blame), "{kind:?}");
            assert!(
                provider.rejected.is_empty() && provider.requests.len() <= most,
                "{kind:?} {:?}",
                provider.requests
            );
        }
    }
    // Sizes are tried down to one text.
    for (kind, blame) in [
        (FailureKind::TooLarge(Size::Tokens), Blame::Model),
        (FailureKind::Exhausted(Size::Texts), Blame::Outage),
    ] {
        let (provider, result) = run(100, |_| Some(kind));
        assert_eq!((result, provider.rejected.len()), (Err(blame), 0));
        assert!(provider.requests.len() <= 10, "{:?}", provider.requests);
    }
}

#[test]
fn a_size_that_works_is_learnt_and_used_at_once() {
    for kind in [
        FailureKind::TooLarge(Size::Tokens),
        FailureKind::Exhausted(Size::Texts),
        FailureKind::Slow,
    ] {
        let (provider, result) = run(100, |r| (r.len() > 16).then_some(kind));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 0));
        assert!(provider.results.iter().all(|got| *got));
        assert!((8..=16).contains(&provider.learnt.unwrap()), "{:?}", provider.learnt);
        assert!(
            provider.requests.iter().filter(|texts| **texts > 16).count() <= 5,
            "{:?}",
            provider.requests
        );
    }
    // In unknown words.
    let (provider, result) = run(100, |r| (r.len() > 60).then_some(FailureKind::Refused));
    assert_eq!((result, provider.rejected.len(), provider.learnt), (Ok(()), 0, Some(50)));
}

#[test]
fn a_model_that_worked_is_at_fault_when_nothing_succeeds_twice() {
    let mut provider = simulated(1, |_| Some(FailureKind::Refused));
    provider.has_worked = true;
    for blame in [Blame::Outage, Blame::Model] {
        let failure = provider.ask(&(0..1)).unwrap_err();
        let result = find_fault(&mut provider, 0..1, failure).map_err(|fault| fault.blame);
        assert_eq!((result, provider.rejected.len()), (Err(blame), 0));
    }
}

#[test]
fn a_model_is_at_fault_if_no_probe_of_three_succeeds() {
    for kind in [FailureKind::Refused, FailureKind::Unusable] {
        let rule =
            |texts: &Range<usize>| Some(if texts.is_empty() { kind } else { FailureKind::Refused });
        let (provider, result) = run(1, rule);
        assert_eq!((result, provider.requests.len()), (Err(Blame::Model), 1 + 3), "{kind:?}");
        for succeeds in 0..3 {
            let probes = Cell::new(0);
            let (provider, result) = run(1, |texts| {
                let is_probe = texts.is_empty();
                (!is_probe || probes.replace(probes.get() + 1) != succeeds).then_some(kind)
            });
            assert_eq!((result, provider.rejected.len()), (Ok(()), 1), "{kind:?} {succeeds}");
        }
    }
}

#[test]
fn a_refusal_is_confirmed_by_probes_alone() {
    let confirmed = |answers: &[Option<FailureKind>]| {
        let mut answers = answers.iter();
        let mut probe = || match *answers.next().expect("no more probes") {
            Some(kind) => Err(CallFailure::new(kind, Error::model(format!("{kind:?}")))),
            None => Ok(()),
        };
        let found = confirm_refusal(&mut probe).map_err(|fault| fault.blame);
        assert_eq!(answers.len(), 0);
        found
    };
    let (refused, unusable) = (Some(FailureKind::Refused), Some(FailureKind::Unusable));
    assert_eq!(confirmed(&[None]), Ok(()));
    assert_eq!(confirmed(&[refused, unusable, None]), Ok(()));
    assert_eq!(confirmed(&[unusable, refused, unusable]), Err(Blame::Model));
    assert_eq!(confirmed(&[Some(FailureKind::Model)]), Err(Blame::Model));
    assert_eq!(confirmed(&[refused, Some(FailureKind::Outage)]), Err(Blame::Outage));
    assert_eq!(confirmed(&[Some(FailureKind::RateLimited)]), Err(Blame::RateLimited));
}

#[test]
fn a_model_is_blamed_in_the_words_of_a_failure_that_shows_it() {
    for (first, then, words) in [
        (FailureKind::Failed, FailureKind::Unusable, "Unusable"),
        (FailureKind::Slow, FailureKind::Refused, "Refused"),
        (FailureKind::Refused, FailureKind::Unusable, "Refused"),
        (FailureKind::Refused, FailureKind::Model, "Model"),
    ] {
        let mut provider = simulated(1, |r| Some(if r.is_empty() { then } else { first }));
        let failure = provider.ask(&(0..1)).unwrap_err();
        let fault = find_fault(&mut provider, 0..1, failure).unwrap_err();
        assert_eq!((fault.blame, fault.error.message()), (Blame::Model, words));
    }
}

#[test]
fn what_is_said_of_the_probe_is_part_of_the_reason() {
    for (first, then, blame, message, detail) in [
        (FailureKind::Refused, FailureKind::Outage, Blame::Outage, "Outage", None),
        (FailureKind::Refused, FailureKind::RateLimited, Blame::RateLimited, "RateLimited", None),
        (FailureKind::Outage, FailureKind::Outage, Blame::Outage, "Outage", None),
        (FailureKind::Refused, FailureKind::Refused, Blame::Model, "Refused", None),
        (
            FailureKind::Refused,
            FailureKind::Unusable,
            Blame::Model,
            "Refused",
            Some("Refused; of the text \"test\": Unusable"),
        ),
    ] {
        let mut provider = simulated(1, |r| Some(if r.is_empty() { then } else { first }));
        let failure = provider.ask(&(0..1)).unwrap_err();
        let fault = find_fault(&mut provider, 0..1, failure).unwrap_err();
        assert_eq!((fault.blame, fault.error.message()), (blame, message));
        assert_eq!(fault.error.detail(), detail);
    }
}

#[test]
fn a_response_that_is_wrong_once_rejects_no_text() {
    for kind in [FailureKind::Refused, FailureKind::Unusable] {
        for texts in [1, 2, 64] {
            let is_first = Cell::new(true);
            let (provider, result) = run(texts, |_| is_first.replace(false).then_some(kind));
            assert_eq!((result, provider.rejected.len()), (Ok(()), 0), "{texts}");
            assert!(provider.results.iter().all(|got| *got));
        }
    }
}

#[test]
fn a_request_that_fails_once_rejects_no_text() {
    for kind in [
        FailureKind::Failed,
        FailureKind::Outage,
        FailureKind::Slow,
        FailureKind::Exhausted(Size::Texts),
    ] {
        let is_first = Cell::new(true);
        let (provider, result) = run(64, |_| is_first.replace(false).then_some(kind));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 0), "{kind:?}");
        assert!(provider.results.iter().all(|got| *got));
    }
}

#[test]
fn a_provider_that_fails_in_the_middle_is_not_blamed_on_texts() {
    for begins in 1..12 {
        for kind in [FailureKind::Refused, FailureKind::Unusable, FailureKind::Failed] {
            let asked = Cell::new(0);
            let (provider, result) = run(64, |r| {
                asked.set(asked.get() + 1);
                (asked.get() > begins || r.contains(&20)).then_some(kind)
            });
            assert!(
                provider.rejected.keys().all(|text| *text == 20),
                "{begins}: {:?}",
                provider.rejected
            );
            assert!(result.is_err() || provider.rejected.len() == 1, "{begins}");
        }
    }
}

/// A document of one text, attempted until it is indexed or given up: whether it is given up, and after how many attempts.
/// It is attempted with 63 others the first time, and alone later.
fn attempts_of<F: Fn(&Range<usize>) -> Option<FailureKind>>(
    rule: F,
    requests: &mut usize,
) -> (bool, u32) {
    let mut attempts = Attempts::default();
    for (number, texts) in (1..).zip(std::iter::once(64).chain(std::iter::repeat(1))) {
        let (provider, result) = run(texts, &rule);
        *requests += provider.requests.len();
        let counted = match provider.rejected.get(&0) {
            Some(Blame::Text) => attempts.count(Class::Row, None),
            Some(Blame::Doubtful { attempts: most }) => {
                attempts.count(Class::Transient, Some(*most))
            }
            Some(_) => unreachable!(),
            None if provider.results[0] => return (false, number),
            // An outage, or a pause that someone ends.
            None => {
                assert!(result.is_err());
                continue;
            }
        };
        if counted.1 {
            return (true, number);
        }
    }
    unreachable!()
}

#[test]
fn a_text_that_always_fails_is_given_up_after_few_attempts() {
    for (kind, most) in [
        (FailureKind::TooLarge(Size::Tokens), 1),
        (FailureKind::Refused, 4),
        (FailureKind::Unusable, 6),
        (FailureKind::Failed, 6),
        (FailureKind::Slow, 6),
        (FailureKind::Exhausted(Size::Tokens), 6),
        (FailureKind::Outage, MAX_ATTEMPTS),
    ] {
        let mut requests = 0;
        let given_up = attempts_of(|r| r.contains(&0).then_some(kind), &mut requests);
        assert_eq!(given_up, (true, most), "{kind:?}");
        // The search, and what each further attempt takes: the text, a probe, the text again.
        assert!(requests <= 14 + 3 * (most as usize - 1), "{kind:?}: {requests}");
    }
}

#[test]
fn a_provider_that_fails_at_random_has_no_text_given_up() {
    // SplitMix64.
    let state = Cell::new(42_u64);
    let random = |below: u64| {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut x = state.get();
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below
    };
    let signs = [
        FailureKind::Refused,
        FailureKind::Unusable,
        FailureKind::Unusable,
        FailureKind::Unusable,
        FailureKind::Failed,
        FailureKind::Slow,
        FailureKind::Outage,
        FailureKind::Outage,
        FailureKind::RateLimited,
        FailureKind::Model,
    ];
    let rule = |_: &Range<usize>| (random(100) < 15).then(|| signs[random(10) as usize]);
    let mut more = 0;
    for _ in 0..20_000 {
        let (is_given_up, attempts) = attempts_of(rule, &mut 0);
        assert!(!is_given_up, "after {attempts} attempts");
        more += u32::from(attempts > 1);
    }
    assert!(more > 100, "{more} were attempted more than once");
}

/// What the reference says of a step.
fn in_words(step: Step) -> String {
    match step {
        Step::Halve => "halve".to_owned(),
        Step::Divide(_) => "divide".to_owned(),
        Step::Probe => "probe".to_owned(),
        Step::Repeat => "repeat".to_owned(),
        Step::End(Blame::Text) => "the text".to_owned(),
        Step::End(Blame::Doubtful { attempts }) => format!("the text, after {attempts} attempts"),
        Step::End(Blame::Model) => "the model".to_owned(),
        Step::End(Blame::Outage) => "an outage".to_owned(),
        Step::End(Blame::RateLimited) => "wait".to_owned(),
    }
}

#[test]
fn the_reference_has_the_same_table() {
    let reference = include_str!("../../../../../docs/reference/remote.md");
    for (name, kind) in [
        ("general", FailureKind::Model),
        ("pace", FailureKind::RateLimited),
        ("refused", FailureKind::Refused),
        ("unusable", FailureKind::Unusable),
        ("failed", FailureKind::Failed),
        ("network", FailureKind::Outage),
        ("too large", FailureKind::TooLarge(Size::Tokens)),
        ("too large", FailureKind::TooLarge(Size::Texts)),
        ("exhausted", FailureKind::Exhausted(Size::Tokens)),
        ("exhausted", FailureKind::Exhausted(Size::Texts)),
        ("slow", FailureKind::Slow),
    ] {
        let step =
            |texts, others, failures| in_words(decide(kind, Evidence { texts, others, failures }));
        let several = match step(64, None, 1) {
            probe if probe == "probe" => format!("probe, then {}", step(64, Some(true), 1)),
            other => other,
        };
        // A refusal of several that others have succeeded beside is dealt with in the same way.
        assert!(several.ends_with(&step(64, Some(true), 1)), "{name}");
        let first = step(1, Some(true), 1);
        let succeed = if first == "repeat" { step(1, Some(true), 2) } else { first };
        let succeed = if kind.is_general() { String::new() } else { succeed };
        let expected = [several, step(1, None, 1), succeed, step(1, Some(false), 1)];
        let start = format!("| *{name}*:");
        let row = reference.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
        let cells: Vec<&str> = row.split('|').map(str::trim).skip(2).take(4).collect();
        assert_eq!(cells, expected, "{name}");
    }
}
