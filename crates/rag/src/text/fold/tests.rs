use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};
use unicode_normalization::UnicodeNormalization;

fn found<'p>(passage: &'p str, quote: &str) -> Option<&'p str> {
    Folded::of(passage).find(passage, &Folded::of(quote)).map(|bytes| &passage[bytes])
}

#[test]
fn white_space_and_case_do_not_matter() {
    let passage = "The  lock mode\n\tACCESS SHARE conflicts\u{a0}only. Straße, İzmir: ÀÉ.";
    assert_eq!(
        found(passage, "access share conflicts only"),
        Some("ACCESS SHARE conflicts\u{a0}only")
    );
    assert_eq!(found(passage, "  the lock\nmode "), Some("The  lock mode"));
    assert_eq!(found(passage, "STRAßE, İZMIR: àé."), Some("Straße, İzmir: ÀÉ."));
    assert_eq!(found(passage, passage), Some(passage));
}

#[test]
fn quotes_with_other_words_are_not_found() {
    let passage = "It is unsafe to use this function. Do not call it while locks are held.";
    for quote in [
        "safe to use this function",
        "unsafe to use this func",
        "It is safe to use",
        "call it … locks are held",
        "",
        " \n",
        "it",
        "Do call it while locks are held.",
        "Do not call it while locks are not held.",
    ] {
        assert_eq!(found(passage, quote), None, "{quote}");
    }
    assert_eq!(found("", "anything at all"), None);
    assert_eq!(found("abc", "a longer quote than that"), None);
}

#[test]
fn a_short_passage_can_be_quoted_whole() {
    assert_eq!(found("1902", "1902"), Some("1902"));
    assert_eq!(found(" Yes. ", "yes."), Some("Yes."));
    assert_eq!(found("— … —", "— … —"), None);
}

#[test]
fn the_first_place_at_word_edges_counts() {
    let passage = "category catalogue. category catalog.";
    let quote = Folded::of("category catalog");
    assert_eq!(Folded::of(passage).find(passage, &quote), Some(20..36));
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn typography_and_markup_do_not_matter() {
    for (passage, quote, place) in [
        (
            "The server’s “shared” buffers hold pages.",
            "The server's \"shared\" buffers",
            "The server’s “shared” buffers",
        ),
        ("Er sagt: „Das Ende“ kommt bald.", "sagt: \"Das Ende\" kommt", "sagt: „Das Ende“ kommt"),
        ("Il dit «la fin» demain.", "dit \"la fin\" demain", "dit «la fin» demain"),
        ("彼は「終わり」と言った。", "彼は“終わり”と言った", "彼は「終わり」と言った"),
        (
            "in the years 1990–1995, non‑blocking",
            "1990-1995, non-blocking",
            "1990–1995, non‑blocking",
        ),
        (
            "It waits — as others do — for locks.",
            "waits -- as others do -- for",
            "waits — as others do — for",
        ),
        (
            "It waits—as others do—for locks.",
            "waits - as others do - for",
            "waits—as others do—for",
        ),
        ("It takes a while … and then ends.", "a while ... and then", "a while … and then"),
        ("It takes a while... and then ends.", "a while. . . and then", "a while... and then"),
        (
            "Use **VACUUM** to *free* `space` now.",
            "Use VACUUM to free space",
            "Use **VACUUM** to *free* `space`",
        ),
        (
            "Use VACUUM to free space now.",
            "Use **VACUUM** to _free_ `space`",
            "Use VACUUM to free space",
        ),
        ("Begin with **VACUUM FULL** here", "VACUUM FULL here", "**VACUUM FULL** here"),
        (
            "See [the manual](https://a.b/c_(d)) and ![pic](x.png) today.",
            "See the manual and pic today.",
            "See [the manual](https://a.b/c_(d)) and ![pic](x.png) today.",
        ),
        (
            "Options:\n\n- first thing\n- second thing\n",
            "first thing second thing",
            "first thing\n- second thing",
        ),
        (
            "Steps:\n1. stop it\n2. start it again\n",
            "stop it start it again",
            "stop it\n2. start it again",
        ),
        (
            "Steps:\n1. stop it\n2. start it again\n",
            "1. stop it 2. start it",
            "1. stop it\n2. start it",
        ),
        (
            "Items:\n- a thing - with a dash\n- another",
            "a thing - with a dash - another",
            "a thing - with a dash\n- another",
        ),
        ("# Big title\n> quoted text\n", "Big title quoted text", "Big title\n> quoted text"),
        (
            "| Plan | Price |\n|------|-------|\n| Pro | 10 |\n",
            "Plan Price Pro 10",
            "Plan | Price |\n|------|-------|\n| Pro | 10",
        ),
        (
            "Tom &amp; Jerry&rsquo;s show &lt;now&gt;",
            "Tom & Jerry's show <now>",
            "Tom &amp; Jerry&rsquo;s show &lt;now&gt;",
        ),
        ("Tom & Jerry’s show", "Tom &amp; Jerry&#x27;s show", "Tom & Jerry’s show"),
        (
            "Le cafe\u{301} de\u{301}ja\u{300} vu",
            "café déjà vu",
            "cafe\u{301} de\u{301}ja\u{300} vu",
        ),
        ("Le café déjà vu", "cafe\u{301} de\u{301}ja\u{300} vu", "café déjà vu"),
        ("an e\u{fb03}cient o\u{fb03}ce", "efficient office", "e\u{fb03}cient o\u{fb03}ce"),
        ("It rose by 3.5 % to 10 km.", "rose by 3.5% to 10km", "rose by 3.5 % to 10 km"),
        (
            "It rose by 3.5\u{202f}% to 10km.",
            "rose by 3.5 % to 10 km",
            "rose by 3.5\u{202f}% to 10km",
        ),
        ("an exam-\n   ple of hyphens", "an example of hyphens", "an exam-\n   ple of hyphens"),
        ("a well-\nknown fact here", "a well-known fact", "a well-\nknown fact"),
        ("an example of hyphens", "an exam-\nple of hyphens", "an example of hyphens"),
        (
            "Donau\u{ad}dampf\u{ad}schiff zero\u{200b}width",
            "Donaudampfschiff zerowidth",
            "Donau\u{ad}dampf\u{ad}schiff zero\u{200b}width",
        ),
        ("set max\\_connections to 5", "set max_connections to 5", "set max\\_connections to 5"),
        ("ＦＵＬＬ　ｗｉｄｔｈ 10²", "full width 10^2", "ＦＵＬＬ　ｗｉｄｔｈ 10²"),
        ("我住在北京。他住在上海。", "我住在北京。", "我住在北京。"),
        ("日本の首都は東京であり、人口は多いです。", "首都は東京であり", "首都は東京であり"),
        ("我住在北京。他住在上海。", "北京", "北京"),
        ("ประเทศไทยมีเมืองหลวงชื่อกรุงเทพ", "เมืองหลวงชื่อ", "เมืองหลวงชื่อ"),
        ("VACUUM frees space, and more.", "VACUUM frees space.", "VACUUM frees space"),
        ("VACUUM frees space, and more.", "... frees space, and ...", "frees space, and"),
        ("a ~~deleted~~ word stays", "a deleted word", "a ~~deleted~~ word"),
        (
            "Run:\n```sql\nSELECT 1;\n```\nThen stop.",
            "Run: SELECT 1; Then stop.",
            "Run:\n```sql\nSELECT 1;\n```\nThen stop.",
        ),
        (
            "snake_case_name is **im**portant",
            "snake_case_name is important",
            "snake_case_name is **im**portant",
        ),
    ] {
        assert_eq!(found(passage, quote), Some(place), "{quote}");
    }
}

#[test]
fn what_changes_a_word_a_number_or_a_name_matters() {
    for (passage, quote) in [
        ("The notable result is here", "The not able result"),
        ("The well known result", "The wellknown result"),
        ("They were there at noon", "They we're there at noon"),
        ("I don't like this at all", "I don t like this"),
        ("I don't like this at all", "I dont like this"),
        ("I know that I don't", "I know that I don"),
        ("It costs 3.5 percent more", "5 percent more"),
        ("It costs 10,000 marks now", "000 marks now"),
        ("It costs exactly 3.5", "costs exactly 3"),
        ("It costs exactly 10,000", "costs exactly 10"),
        ("It fell by exactly 5%", "fell by exactly 5"),
        ("It is -5 degrees outside", "5 degrees outside"),
        ("It is -5 degrees outside", "It is 5 degrees outside"),
        ("-5 degrees outside", "5 degrees outside"),
        ("about 10² of these things", "about 102 of these things"),
        ("about 1½ of these things", "about 11/2 of these things"),
        ("in section 3. 5 people came", "3.5 people came"),
        ("the numbers 1 2 and others", "the numbers 12 and others"),
        ("the product 2*3 is six", "the product 23 is six"),
        ("the name max_wal_size counts", "the name maxwalsize counts"),
        ("an un-\nsafe function", "safe function"),
        ("Steps:\n1. stop it\n2. start it again\n", "2. stop it 3. start it"),
        ("a || b is a concatenation", "a b is a concatenation"),
        ("the re-signed contract ended", "the resigned contract ended"),
        ("北京", "北京市"),
    ] {
        assert_eq!(found(passage, quote), None, "{quote}");
    }
}

#[test]
fn length_counts_by_what_a_character_says() {
    for (text, letters) in [("INSERT", 6), ("北京", 8), ("かな", 4), ("", 0), ("12 34", 4)] {
        assert_eq!(Folded::of(text).letters(), letters, "{text}");
    }
}

#[test]
fn words_are_those_between_spaces_or_pairs_of_characters() {
    let words = |text: &str| -> Vec<String> {
        Folded::of(text).words().into_iter().map(|word| word.text).collect()
    };
    assert_eq!(
        words("Don’t use **max_x**, exam-\nple 3.5"),
        ["don't", "use", "max", "x", "example", "3", "5"]
    );
    assert_eq!(words("我住北京a"), ["我住", "住北", "北京", "a"]);
    assert_eq!(words("京"), ["京"]);
}

#[test]
fn any_text_takes_linear_time() {
    for piece in
        ["a", "[", "> ", "* ", " _a", "-\n", "|", "&", "`", "a-\n", ". . ", "\u{301}", "- - ", "京"]
    {
        let passage = piece.repeat(400_000 / piece.len());
        let started = Instant::now();
        let folded = Folded::of(&passage);
        let half = passage.floor_char_boundary(passage.len() / 2);
        let quote = Folded::of(passage.get(2..half).unwrap_or(&passage[..half]));
        let _ = folded.find(&passage, &quote);
        assert!(started.elapsed() < Duration::from_secs(5), "{piece}: {:?}", started.elapsed());
    }
    let passage = "a".repeat(400_000);
    assert_eq!(found(&passage, &passage[1..200_000]), None);
}

/// Passages of prose and of Markdown.
const PASSAGES: [&str; 4] = [
    "The server’s “shared” buffers hold 8 kB pages; they aren't written at once. In 1990–1995 it took 3.5 % of 10,000 writes, a well-known figure… Nobody has measured it since.",
    "# Backup\n\nUse **pg_dump** for a *logical* backup:\n\n- `-Fc` is the custom format\n- `-j 4` runs four jobs\n\n1. Stop the writers.\n2. Run [the tool](https://a.b/c) again.\n",
    "| Plan | Price | Users |\n|---|---|---|\n| Pro | 10 € | 25 |\n| Team | 40 € | 100 |\n\nThe plan isn’t changed by an up-\ngrade of the soft\u{ad}ware; e\u{fb03}ciency &amp; cost don't matter.",
    "我住在北京，他住在上海。日本の首都は東京であり、人口は1,400万人です。Ünïcode names such as Zoë’s café stay.",
];

/// The quote with its typography changed.
fn retyped(quote: &str, how: u32, at: usize) -> String {
    let map = |from: &[char], to: &str| quote.replace(from, to);
    match how {
        0 => map(&['’', '‘'], "'"),
        1 => map(&['“', '”'], "\""),
        2 => map(&['–', '‑'], "-"),
        3 => map(&['…'], "..."),
        4 => quote.replace("**", "").replace('`', ""),
        5 => quote.nfd().collect(),
        6 => quote.nfkc().collect(),
        7 => quote.replace(' ', "\n"),
        8 => quote.replace(' ', " \u{200b}"),
        9 => quote.to_uppercase().replace('ẞ', "ß"),
        10 if !quote.to_lowercase().contains("&amp;") => quote.replace('&', "&amp;"),
        11 if !quote.contains(['*', '#', '|', '`', '-']) => format!("**{quote}**"),
        12 if !quote.contains(['*', '#', '|', '`', '-']) => format!("“{quote}”"),
        13 => format!("{quote}..."),
        14 => quote.replace(" %", "%").replace("8 kB", "8kB"),
        10 | 11 | 12 | 15 => quote.replace(' ', "  "),
        // A soft hyphen before any letter, but none inside of an entity.
        _ => {
            let is_plain = |at: usize| {
                quote[..at].rfind('&').is_none_or(|and| quote[and..at].contains([';', ' ', '\n']))
            };
            let letters: Vec<usize> = quote
                .char_indices()
                .filter(|(at, c)| c.is_alphabetic() && is_plain(*at))
                .map(|(at, _)| at)
                .collect();
            let at = letters.get(at % letters.len().max(1)).copied().unwrap_or(0);
            format!("{}\u{ad}{}", &quote[..at], &quote[at..])
        }
    }
}

/// Where words of a text begin and end.
fn edges(text: &str) -> Vec<usize> {
    let spaces = text.match_indices([' ', '\n']).flat_map(|(at, _)| [at, at + 1]);
    [0, text.len()].into_iter().chain(spaces).collect()
}

proptest! {
    #[test]
    fn a_retyped_quote_is_found_at_its_place(which in 0..PASSAGES.len(), from in 0_usize..1000, to in 0_usize..1000, ways in prop::collection::vec((0_u32..18, 0_usize..1000), 0..3)) {
        let passage = PASSAGES[which];
        let edges = edges(passage);
        let (from, to) = (edges[from % edges.len()], edges[to % edges.len()]);
        let original = passage[from.min(to)..from.max(to)].trim();
        let folded = Folded::of(original);
        prop_assume!(folded.letters() >= 16 && original.matches("**").count().is_multiple_of(2) && original.matches('`').count().is_multiple_of(2));
        prop_assume!(found(passage, original).is_some());
        let place = Folded::of(passage).find(passage, &folded).unwrap();
        let quote = ways.iter().fold(original.to_owned(), |quote, (how, at)| retyped(&quote, *how, *at));
        let again = Folded::of(passage).find(passage, &Folded::of(&quote));
        prop_assert!(again.is_some(), "{quote:?} of {original:?}");
        let again = again.unwrap();
        prop_assert!(again.start.abs_diff(place.start) <= 3 && again.end.abs_diff(place.end) <= 4, "{quote:?}: {:?} is not {:?}", &passage[again], &passage[place]);
    }

    #[test]
    fn a_quote_with_another_word_is_not_found(which in 0..PASSAGES.len() - 1, from in 0_usize..1000, length in 4_usize..12, at in 0_usize..12, how in 0..5) {
        let passage = PASSAGES[which];
        let starts: Vec<usize> = passage.split_whitespace().map(|word| word.as_ptr() as usize - passage.as_ptr() as usize).collect();
        let first = from % starts.len();
        let last = (first + length).min(starts.len() - 1);
        let mut words: Vec<String> = passage[starts[first]..starts[last]].split_whitespace().map(str::to_owned).collect();
        prop_assume!(words.len() > 3);
        let at = at % (words.len() - 1) + 1;
        let is_text = |word: &str| word.chars().any(char::is_alphanumeric);
        prop_assume!(is_text(&words[at]) && words[..at].iter().any(|word| is_text(word)));
        match how {
            0 => words.insert(at, "not".to_owned()),
            1 => words[at] = "another".to_owned(),
            2 => words[at] = words[at].replace(|c: char| c.is_ascii_digit(), "7") + "77",
            3 => words.insert(at, "never".to_owned()),
            _ => words[at].insert_str(0, "un"),
        }
        let quote = words.join(" ");
        prop_assert_eq!(found(passage, &quote), None, "{}", quote);
    }

    #[test]
    fn occurrences_are_those_of_a_plain_comparison(text in "[ab]{0,40}", wanted in "[ab]{1,5}") {
        let (folded, other) = (Folded::of(&text), Folded::of(&wanted));
        let found: Vec<usize> = occurrences(&folded.units, &other.units).collect();
        let fits = |at: &usize| text[*at..].starts_with(&wanted);
        prop_assert_eq!(found, (0..text.len()).filter(fits).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_found_in_itself(text in "\\PC{0,40}|[a-z 0-9*_`|\\[\\]()#>.\n&;-]{0,60}") {
        let folded = Folded::of(&text);
        prop_assert!(folded.is_same(&folded));
        if let Some(bytes) = folded.find(&text, &folded) {
            prop_assert!(text.is_char_boundary(bytes.start) && text.is_char_boundary(bytes.end));
        }
        for word in folded.words() {
            prop_assert!(!text[word.bytes].is_empty());
        }
    }
}
