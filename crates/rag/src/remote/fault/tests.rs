use super::*;
use std::collections::HashMap;

#[test]
fn the_table() {
    use Sign::{Exhausted, Failed, Model, Outage, RateLimited, Refused, Slow, TooLarge};
    use Step::{Divide, End, Halve, Probe, Repeat};
    use Whose::{Doubtful, Text};
    let size = Size::Tokens;
    let all = End(Whose::Model);
    let rest = End(Whose::Outage);
    // By what is known of others: nothing, they succeed, they fail; several texts, then one.
    for (sign, several, one) in [
        (Model, [all; 3], [all; 3]),
        (RateLimited, [End(Whose::RateLimited); 3], [End(Whose::RateLimited); 3]),
        (Refused, [Halve, Halve, all], [Probe, Repeat, all]),
        (Failed, [Halve, Halve, rest], [Probe, End(Doubtful), rest]),
        (Outage, [Probe, Halve, rest], [Probe, End(Doubtful), rest]),
        (TooLarge(size), [Divide(size), Divide(size), all], [Probe, End(Text), all]),
        (Exhausted(size), [Divide(size), Divide(size), rest], [Probe, End(Doubtful), rest]),
        (Slow, [Probe, Divide(Size::Texts), rest], [Probe, End(Doubtful), rest]),
    ] {
        for (i, others) in [None, Some(true), Some(false)].into_iter().enumerate() {
            let step = |texts, failures| decide(sign, Evidence { texts, others, failures });
            assert_eq!(step(20, 1), several[i], "{sign:?} {others:?}");
            assert_eq!(step(1, 1), one[i], "{sign:?} {others:?}");
            // Twice is no accident, unless it is the network.
            let again = match one[i] {
                End(Doubtful) if sign != Outage => End(Text),
                Repeat => End(Text),
                step => step,
            };
            assert_eq!(step(1, 2), again, "{sign:?} {others:?}");
        }
    }
}

/// A provider by a rule: what it says to a request of these texts; a probe is one that has none.
struct Simulated<F> {
    rule: F,
    requests: Vec<usize>,
    results: Vec<bool>,
    rejected: HashMap<usize, Whose>,
    learnt: Option<usize>,
    /// Whether requests succeeded just before.
    has_worked: bool,
}

impl<F: Fn(&Range<usize>) -> Option<Sign>> Simulated<F> {
    fn ask(&mut self, texts: &Range<usize>) -> Result<(), Failure> {
        self.requests.push(texts.len());
        (self.rule)(texts).map_or(Ok(()), |sign| Err(Failure::new(sign, Error::model("no"))))
    }
}

impl<F: Fn(&Range<usize>) -> Option<Sign>> Sender for Simulated<F> {
    fn send(&mut self, texts: Range<usize>) -> Result<(), Failure> {
        self.ask(&texts)?;
        self.results[texts].fill(true);
        Ok(())
    }
    fn probe(&mut self) -> Result<(), Failure> {
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
    fn is_of_size(&mut self, sign: Sign) -> bool {
        sign != Sign::Failed
    }
    fn is_accident(&mut self) -> bool {
        std::mem::take(&mut self.has_worked)
    }
    fn reject(&mut self, text: usize, fault: Fault) {
        self.rejected.insert(text, fault.whose);
    }
}

fn simulated<F: Fn(&Range<usize>) -> Option<Sign>>(texts: usize, rule: F) -> Simulated<F> {
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
fn run<F: Fn(&Range<usize>) -> Option<Sign>>(
    texts: usize,
    rule: F,
) -> (Simulated<F>, Result<(), Whose>) {
    let mut provider = simulated(texts, rule);
    let result = match provider.send(0..texts) {
        Ok(()) => Ok(()),
        Err(failure) => find(&mut provider, 0..texts, failure).map_err(|fault| fault.whose),
    };
    (provider, result)
}

#[test]
fn one_text_is_found_with_twice_the_logarithm_of_requests() {
    for sign in
        [Sign::Refused, Sign::Failed, Sign::TooLarge(Size::Tokens), Sign::Exhausted(Size::Texts)]
    {
        for texts in [2, 3, 16, 32, 96, 100, 256] {
            for bad in 0..texts {
                let (provider, result) = run(texts, |r| r.contains(&bad).then_some(sign));
                assert_eq!(result, Ok(()));
                assert_eq!(
                    provider.rejected,
                    HashMap::from([(bad, Whose::Text)]),
                    "{sign:?} {bad} of {texts}"
                );
                assert!((0..texts).all(|text| provider.results[text] == (text != bad)));
                let most = 2 * texts.next_power_of_two().ilog2() as usize;
                let more = provider.requests.len() - 1;
                assert!(more <= most, "{sign:?} {bad} of {texts}: {more} more, at most {most}");
                assert_eq!(provider.learnt, None, "no size was at fault");
            }
        }
    }
    // What may be the network's is looked at again before; that the text is at fault is never certain.
    for sign in [Sign::Outage, Sign::Slow] {
        let (provider, result) = run(64, |r| r.contains(&40).then_some(sign));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 1));
        assert!(provider.requests.len() <= 1 + 1 + 12, "{sign:?} {:?}", provider.requests);
    }
    // Several of them, next to each other and apart.
    let bad = [3, 4, 5, 60];
    let (provider, _) = run(64, |r| bad.iter().any(|b| r.contains(b)).then_some(Sign::Refused));
    assert!(
        bad.iter().all(|b| provider.rejected[b] == Whose::Text) && provider.rejected.len() == 4
    );
    assert!(provider.results.iter().filter(|got| **got).count() == 60);
}

#[test]
fn where_nothing_succeeds_no_text_is_charged_and_few_requests_are_spent() {
    for (sign, whose, most) in [
        (Sign::Model, Whose::Model, 1),
        (Sign::RateLimited, Whose::RateLimited, 1),
        (Sign::Refused, Whose::Model, 4),
        (Sign::Failed, Whose::Outage, 4),
        (Sign::Outage, Whose::Outage, 2),
        (Sign::Slow, Whose::Outage, 2),
    ] {
        for texts in [1, 2, 100] {
            let (provider, result) = run(texts, |_| Some(sign));
            assert_eq!(result, Err(whose), "{sign:?}");
            assert!(
                provider.rejected.is_empty() && provider.requests.len() <= most,
                "{sign:?} {:?}",
                provider.requests
            );
        }
    }
    // Sizes are tried down to one text.
    for (sign, whose) in [
        (Sign::TooLarge(Size::Tokens), Whose::Model),
        (Sign::Exhausted(Size::Texts), Whose::Outage),
    ] {
        let (provider, result) = run(100, |_| Some(sign));
        assert_eq!((result, provider.rejected.len()), (Err(whose), 0));
        assert!(provider.requests.len() <= 10, "{:?}", provider.requests);
    }
}

#[test]
fn a_size_that_works_is_learnt_and_used_at_once() {
    for sign in [Sign::TooLarge(Size::Tokens), Sign::Exhausted(Size::Texts), Sign::Slow] {
        let (provider, result) = run(100, |r| (r.len() > 16).then_some(sign));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 0));
        assert!(provider.results.iter().all(|got| *got));
        assert!((8..=16).contains(&provider.learnt.unwrap()), "{:?}", provider.learnt);
        assert!(
            provider.requests.iter().filter(|texts| **texts > 16).count() <= 5,
            "{:?}",
            provider.requests
        );
    }
    // In words that nobody knows.
    let (provider, result) = run(100, |r| (r.len() > 60).then_some(Sign::Refused));
    assert_eq!((result, provider.rejected.len(), provider.learnt), (Ok(()), 0, Some(50)));
}

#[test]
fn a_model_that_worked_is_at_fault_when_nothing_succeeds_twice() {
    let mut provider = simulated(1, |_| Some(Sign::Refused));
    provider.has_worked = true;
    for whose in [Whose::Outage, Whose::Model] {
        let failure = provider.ask(&(0..1)).unwrap_err();
        let result = find(&mut provider, 0..1, failure).map_err(|fault| fault.whose);
        assert_eq!((result, provider.rejected.len()), (Err(whose), 0));
    }
}

#[test]
fn a_response_that_is_wrong_once_costs_nobody_anything() {
    for texts in [1, 2, 64] {
        let is_first = std::cell::Cell::new(true);
        let (provider, result) = run(texts, |_| is_first.replace(false).then_some(Sign::Refused));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 0), "{texts}");
        assert!(provider.results.iter().all(|got| *got));
    }
}

#[test]
fn what_fails_once_costs_nobody_anything() {
    for sign in [Sign::Failed, Sign::Outage, Sign::Slow, Sign::Exhausted(Size::Texts)] {
        let is_first = std::cell::Cell::new(true);
        let (provider, result) = run(64, |_| is_first.replace(false).then_some(sign));
        assert_eq!((result, provider.rejected.len()), (Ok(()), 0), "{sign:?}");
        assert!(provider.results.iter().all(|got| *got));
    }
}

#[test]
fn a_provider_that_fails_in_the_middle_is_not_blamed_on_texts() {
    for begins in 1..12 {
        for sign in [Sign::Refused, Sign::Failed] {
            let asked = std::cell::Cell::new(0);
            let (provider, result) = run(64, |r| {
                asked.set(asked.get() + 1);
                (asked.get() > begins || r.contains(&20)).then_some(sign)
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
