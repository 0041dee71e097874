use super::{is_about, repeats, says_nothing, support_of};

/// Judges a claim by a sentence that others stand before.
fn check_in(before: &str, evidence: &str, claim: &str, question: &str) -> Result<f64, String> {
    let passage = format!("{before}{evidence}");
    support_of(claim, &[(&passage, before.len()..passage.len())], question)
}

fn check(claim: &str, evidence: &str) -> Result<f64, String> {
    check_in("", evidence, claim, "")
}

#[test]
fn what_follows_is_supported() {
    for (claim, evidence) in [
        ("VACUUM frees space.", "VACUUM reclaims storage. More."),
        ("Berlin is.", "Berlin is the capital of Germany."),
        ("The tower was finished in 1889.", "The Eiffel Tower was finished in 1889, for the fair."),
        ("It costs 3.5 percent.", "The fee is 3.5 % of what it costs."),
        ("About 10000 people came.", "In all, 10,000 people came to see it."),
        ("Two men won.", "The race was won by 2 men."),
        ("Two.", "The race was won by 2 men."),
        ("No, it is not removed.", "It isn’t removed by that."),
        ("It isn't safe.", "It is unsafe to do so."),
        ("The lock does not block readers.", "This lock doesn't block any readers."),
        ("VACUUM frees space.", "VACUUM does not lock the table, and frees space."),
        ("The German capital is Berlin.", "Berlin is the capital of Germany."),
        ("The setting is `max_wal_size`.", "The setting max_wal_size says how much."),
        ("In 1990, Anna won the cup.", "Anna won the cup in 1990."),
        ("The cup was won by Anna.", "Anna won the cup in 1990."),
        ("北京是首都。", "北京是中国的首都。"),
        ("Bob was beaten by Anna.", "Anna has beaten Bob."),
        ("Anna beat Bob.", "Bob was beat by Anna."),
        ("Anna Lee beat Bob.", "Bob was beat by Anna Lee."),
        ("The capital of Germany is Berlin.", "Berlin is the capital of Germany."),
        ("Since 1990 Anna has won the cup.", "Anna has won the cup since 1990."),
        ("CBS showed it in the United States.", "It was shown in the U.S. by CBS."),
        ("It was made in the USA.", "It was made in the United States of America."),
        ("Newcastle's bridge is high.", "The bridge of Newcastle is high."),
        ("One of the colours is red.", "The colours are red and green."),
    ] {
        assert!(check(claim, evidence).is_ok(), "{claim}: {:?}", check(claim, evidence));
    }
}

#[test]
fn what_does_not_follow_is_refused() {
    for (claim, evidence) in [
        ("The tower was finished in 1890.", "The Eiffel Tower was finished in 1889, for the fair."),
        ("It is 5 km away.", "It is 5 miles away."),
        ("It weighs 5 kg.", "It weighs 5 g."),
        ("The fee is $10.", "The fee is €10."),
        ("Paris is the capital of Germany.", "Berlin is the capital of Germany."),
        ("Berlin is the capital of France.", "Berlin is the capital of Germany."),
        ("Bob beat Anna.", "Anna beat Bob."),
        ("Bob beat Anna.", "Bob was beat by Anna."),
        ("Bob beat Anna Lee.", "Bob was beat by Anna Lee."),
        ("Anna was beat by Bob.", "Anna beat Bob."),
        ("The capital of Berlin is Germany.", "Berlin is the capital of Germany."),
        ("CBS showed it in the United Kingdom.", "It was shown in the U.S. by CBS."),
        ("The UK showed it.", "CBS showed it in the United States."),
        ("In 12, 1990 people came.", "In 1990, 12 people came."),
        ("VACUUM does not free space.", "VACUUM does free space."),
        ("VACUUM locks the table.", "VACUUM does not lock the table."),
        ("It is safe to do so.", "It is unsafe to do so."),
        ("The option is disabled by default.", "The option is enabled by default."),
        ("The setting is `min_wal_size`.", "The setting max_wal_size says how much."),
        ("Use --force to stop.", "Use --fast to stop."),
        ("See /etc/b.conf for it.", "See /etc/a.conf for it."),
        (
            "The key of this message is c6001234abcd5678c6001234abcd5678.",
            "VACUUM reclaims storage.",
        ),
        ("The field separator is not treated specially.", "pset csv_fieldsep"),
        ("A whale is a mammal.", "VACUUM reclaims storage."),
        ("北京不是首都。", "北京是中国的首都。"),
        (
            "He was not literate in Czech and never went there.",
            "He was literate in Czech and never went there.",
        ),
        ("It is not only sold here.", "It is only sold here."),
        ("It does not ,run beside readers.", "It runs beside readers."),
    ] {
        assert!(check(claim, evidence).is_err(), "{claim}: {:?}", check(claim, evidence));
    }
}

#[test]
fn a_name_of_the_question_may_stand_for_a_pronoun() {
    let check = |before: &str, evidence: &str| {
        check_in(before, evidence, "Anna won in 1992.", "When did Anna win?")
    };
    assert!(check("Anna came first. ", "She won in 1992.").is_ok());
    assert!(check("Anna won in 1990. ", "Bob won in 1992.").is_err());
    assert!(check("Somebody came first. ", "She won in 1992.").is_err());
}

#[test]
fn what_the_question_is_about_may_be_named_elsewhere_in_the_passage() {
    let check = |claim: &str, passage: &str, evidence: &str, question: &str| {
        let start = passage.find(evidence).unwrap();
        support_of(claim, &[(passage, start..start + evidence.len())], question)
    };
    let question = "How many fumbles did Miller of the Broncos force in 2015?";
    let claim = "Miller of the Broncos forced four fumbles in 2015.";
    for passage in [
        "The Broncos played on in 2015. Miller forced four fumbles.",
        "Miller forced four fumbles. So the Broncos won the cup of 2015.",
    ] {
        assert!(check(claim, passage, "Miller forced four fumbles.", question).is_ok());
        assert!(check(claim, passage, "Miller forced four fumbles.", "").is_err());
    }
    for evidence in [
        "Miller forced four fumbles in 2014.",
        "Miller of the Panthers forced four fumbles.",
        "Miller of the Broncos forced four fumbles in 2014.",
    ] {
        let passage = format!("{evidence} The Broncos won the cup of 2015.");
        assert!(check(claim, &passage, evidence, question).is_err(), "{evidence}");
    }
}

#[test]
fn a_number_of_the_question_may_count_what_a_claim_names() {
    let evidence = "Pets are kept, such as cats, dogs and birds.";
    let check = |claim: &str| check_in("", evidence, claim, "Which three kinds of pets are kept?");
    assert!(check("The three kinds of pets that are kept are cats, dogs and birds.").is_ok());
    assert!(check("The three kinds of pets that are kept are cats, dogs, and birds.").is_ok());
    assert!(check("The three kinds of pets that are kept are cats and dogs.").is_err());
    assert!(check("The two kinds of pets that are kept are cats and dogs.").is_err());
}

#[test]
fn a_name_may_be_whole_in_the_claim_and_before_its_evidence() {
    let before = "Peyton Manning played in Super Bowl 50 against Anna Newton. ";
    let evidence = "Manning won the Super Bowl.";
    let check = |claim: &str| check_in(before, evidence, claim, "");
    assert!(check("Peyton Manning won Super Bowl 50.").is_ok());
    assert!(check("Anna Manning won the Super Bowl.").is_err());
    assert!(check("Manning won Super Bowl 51.").is_err());
}

#[test]
fn what_a_claim_says_beyond_the_question_must_stand_there() {
    let question = "Which gas do plants take from the air by day?";
    let evidence = "Plants take carbon dioxide from the air by day and give off oxygen.";
    let check = |claim: &str| check_in("", evidence, claim, question);
    assert!(check("Plants take carbon dioxide from the air by day.").is_ok());
    assert!(check("Plants take methane from the air by day.").is_err());
}

#[test]
fn a_question_is_no_answer() {
    assert!(repeats("What is it?", "What was it?"));
    assert!(
        repeats("how to start a server", "How to start a server?") || !repeats("Start it.", "How?")
    );
    assert!(says_nothing("Yes.") && says_nothing("It is so.") && !says_nothing("Two."));
    assert!(is_about("The server starts at once.", "How do I start a server?"));
    assert!(!is_about("pset csv_fieldsep", "How do I leave out header lines?"));
}
