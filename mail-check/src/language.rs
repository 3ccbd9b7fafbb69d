//! The language of who reads letters and pages: their frames, that is headings, the words of a
//! status and the heads of tables. Messages and records are English, so that they can be searched.

use std::fmt::Display;

use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ZonedDateTime};
use mail_common::config::Environment;
use mail_common::tool::human_count;

use crate::status::{Status, word};

/// What the environment asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    Japanese,
}

/// Makes the table of words: a name, and what it is in each language. `{0}`, `{1}` and so on stand
/// for what is filled in.
macro_rules! words {
    ($($name:ident: $english:literal, $japanese:literal;)*) => {
        /// The words of frames in one language.
        pub(crate) struct Words {
            $(pub(crate) $name: &'static str,)*
        }

        const ENGLISH: Words = Words { $($name: $english,)* };
        const JAPANESE: Words = Words { $($name: $japanese,)* };

        #[cfg(test)]
        const TABLE: &[(&str, &str)] = &[$(($english, $japanese),)*];
    };
}

words! {
    // A letter.
    found: "{0}, {1}: {2}, {3} critical, {4} warning, {5} unknown.",
        "{0} {1}: {2}(危険 {3}、警告 {4}、不明 {5})";
    remark: "Note: {0}", "注意: {0}";
    summary: "[{0}] {1}: {2}", "[{0}] {1}: {2}";
    flapping: " keeps changing", " の状態が変わり続けています";
    steady: " is steady again", " の状態が落ち着きました";
    recovered: " has recovered", " が回復しました";
    reminded: " still", " の異常が続いています";
    gone_from_checks: " is no longer checked", " はチェックの対象から外れました";
    and_more: ", and {0} more", "、ほか {0} 件";
    title_problem: "NEW", "新しい異常";
    title_flapping: "KEEPS CHANGING (the next message comes when it is steady)",
        "状態が変わり続けています(次の通知は、落ち着いたときに送ります)";
    title_steady: "STEADY AGAIN", "状態が落ち着きました";
    title_recovered: "RECOVERED", "回復";
    title_reminded: "STILL BAD", "続いている異常";
    title_gone: "NO LONGER CHECKED", "チェックの対象から外れたもの";
    title_also_bad: "ALSO BAD", "そのほかの異常";
    since: "{0}, since {1}", "{0}({1} から)";
    since_was: "{0}, since {1} (was {2})", "{0}({1} から。それまでは{2})";
    unknown_time: "an unknown time", "不明な時刻";
    // A page: its head and checks.
    server: "Mail server {0}", "メールサーバー {0}";
    checks: "Checks", "チェック";
    check: "Check", "チェック";
    status: "Status", "状態";
    target: "Of what", "対象";
    measured: "Measured", "測定値";
    what_to_know: "What to know", "内容";
    warning_from: "warning {0}", "警告 {0}";
    critical_from: "critical {0}", "危険 {0}";
    per_processor: "{0} a processor", "1 コアあたり {0}";
    footer: "Written by mail-check {0}. Status: ok, as it should be; warning, somebody should look; \
        critical, somebody must act; unknown, it could not be checked. An age is as of the time \
        above.",
        "mail-check {0} が作成しました。状態の意味: 正常(問題なし)、警告(確認が必要)、危険(対処が必要)、\
        不明(チェックできなかった)。経過時間は、上に示した時刻のものです。";
    // Its sets.
    backups: "Backups of {0} days", "バックアップ({0} 日間)";
    sizes: "Size of daily sets", "日次セットのサイズ";
    kept: "kept from before", "引き継いだ分";
    new: "new", "新規";
    missing_or_failed: "missing or failed", "なし、または失敗";
    durations: "Duration", "所要時間";
    daily: "daily", "日次";
    below: "{0}; the same numbers are in the table below", "{0}(数値は下の表にもあります)";
    as_table: "The same as a table", "表で見る";
    day: "Day", "日付";
    set: "Set", "セット";
    size: "Size", "サイズ";
    of_which_new: "{0}, of which {1} new", "{0}(うち新規 {1})";
    no_set: "no set", "セットなし";
    no_manifest: "its manifest tells nothing", "マニフェストに記録がありません";
    not_whole_but: "not whole; {0}", "不完全、{0}";
    missing: "MISSING", "なし";
    not_whole: "NOT WHOLE", "不完全";
    old_script: "OLD SCRIPT", "従来形式";
    whole: "WHOLE", "完全";
    // What became of the mail.
    changes: "Changes of the mail in {0} days", "メールの変化({0} 日間)";
    messages_gone: "Messages gone or spoiled", "消えた・壊れたメッセージ";
    gone: "gone", "消えた";
    spoiled: "other content or no header", "内容が変わった・ヘッダーがない";
    alarm: "alarm", "警報";
    messages_new: "Messages new", "新しいメッセージ";
    gone_and_spoiled: "{0} gone, {1} with other content or no header",
        "消えた {0}、内容が変わった・ヘッダーがない {1}";
    count_new: "{0} new", "新規 {0}";
    not_compared: "nothing was compared", "比較なし";
    head_new: "New", "新規";
    head_gone: "Gone", "消えた";
    head_replaced: "Replaced", "内容が変わった";
    head_headless: "Without header", "ヘッダーなし";
    head_infected: "Infected", "感染";
    alarm_of: "ALARM: {0}", "警報: {0}";
    // The newest scan.
    scan: "Newest scan", "最新のスキャン";
    result: "Result", "結果";
    began: "Began", "開始";
    no_set_but_paths: "no set: paths", "セットではなくパス";
    files: "Files", "ファイル";
    verdict_counts: "{0} clean, {1} infected, {2} not scanned", "感染なし {0}、感染 {1}、未スキャン {2}";
    not_ended: "NOT ENDED", "未完了";
    infected: "INFECTED", "感染";
    clean: "CLEAN", "感染なし";
    not_all_scanned: "NOT ALL SCANNED", "一部未スキャン";
    unscanned: "UNSCANNED", "未スキャン";
    verdict: "Verdict", "判定";
    file: "File", "ファイル";
    why: "Why", "理由";
    and_others: "And {0} more.", "ほか {0} 件";
    // The newest copy.
    copy: "Newest copy elsewhere", "最新のオフサイトコピー";
    push: "Push", "送信";
    stored: "Stored", "保管";
    sets_whole: "{0} of {1} sets whole, as of {2}", "{1} セット中 {0} セットが完全({2} 時点)";
    cost: "Cost", "料金";
    a_month: "{0} USD a month for {1} in {2}", "月 {0} USD({2} の {1})";
    unknown_set: "unknown", "不明";
    not_locked: "not locked", "ロックなし";
    locked_until: "Locked until", "ロックの期限";
    uploaded: "{0} uploaded", "送信 {0}";
    copied: "{0} copied", "ストア内コピー {0}";
    skipped: "{0} skipped", "送信済み {0}";
    downloaded: "{0} downloaded", "取得 {0}";
    errors: "Errors", "エラー";
    ended_well: "OK", "正常";
    bad: "BAD", "異常";
    incomplete: "INCOMPLETE", "不完全";
}

impl Language {
    /// That of messages, as POSIX has it: the first of these variables that is not empty decides.
    pub(crate) fn of(environment: &Environment) -> Self {
        let named = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| environment.get(name));
        let named = named.into_iter().flatten().find(|value| !value.is_empty());
        match named.and_then(|value| value.split(['_', '.', '@']).next()) {
            Some("ja") => Self::Japanese,
            _ => Self::English,
        }
    }

    /// As HTML names it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    pub(crate) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Japanese => &JAPANESE,
        }
    }

    pub(crate) fn status(self, status: Status) -> &'static str {
        match (self, status) {
            (Self::English, status) => word(status),
            (Self::Japanese, Status::Ok) => "正常",
            (Self::Japanese, Status::Warning) => "警告",
            (Self::Japanese, Status::Critical) => "危険",
            (Self::Japanese, Status::Unknown) => "不明",
        }
    }

    /// The word of a status, as wide as all others are.
    pub(crate) fn status_column(self, status: Status) -> String {
        match self {
            Self::English => format!("{:8}", word(status)),
            Self::Japanese => self.status(status).to_owned(),
        }
    }

    /// Below what stands beside a [`status_column`](Self::status_column).
    pub(crate) fn indent(self) -> &'static str {
        match self {
            Self::English => "            ",
            Self::Japanese => "        ",
        }
    }

    /// `3 checks`.
    pub(crate) fn checks(self, count: usize) -> String {
        match self {
            Self::English => human_count(count as u64, "check", "checks"),
            Self::Japanese => format!("チェック {count} 件"),
        }
    }

    /// `Wed 2026-11-25`.
    pub(crate) fn day(self, date: Date) -> String {
        match self {
            Self::English => date.strftime("%a %Y-%m-%d").to_string(),
            Self::Japanese => format!("{date}({})", weekday(date)),
        }
    }

    /// A moment with its day, as it stands at the head of a page.
    pub(crate) fn moment(self, time: &ZonedDateTime) -> String {
        match self {
            Self::English => time.strftime("%A, %-d %B %Y, %H:%M %:z").to_string(),
            Self::Japanese => format!(
                "{}({}){}",
                time.strftime("%Y年%-m月%-d日"),
                weekday(time.date()),
                time.strftime("%H:%M %:z")
            ),
        }
    }

    /// The time of day where it was today, else with its date.
    pub(crate) fn since(self, second: i64, now: &ZonedDateTime) -> String {
        let Ok(then) = Timestamp::from_second(second) else {
            return self.words().unknown_time.to_owned();
        };
        let then = then.to_zoned_datetime(now.time_zone().clone());
        let format = if then.date() == now.date() {
            "%H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        then.strftime(format).to_string()
    }
}

fn weekday(date: Date) -> &'static str {
    match date.weekday() {
        Weekday::Monday => "月",
        Weekday::Tuesday => "火",
        Weekday::Wednesday => "水",
        Weekday::Thursday => "木",
        Weekday::Friday => "金",
        Weekday::Saturday => "土",
        Weekday::Sunday => "日",
    }
}

/// A text of the table with its places filled. What is filled in is taken as it is, also where it
/// looks like a place.
pub(crate) fn fill(text: &str, values: &[&dyn Display]) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let place = part.split_once('}');
        let value = place.and_then(|(number, rest)| {
            let number: usize = number.parse().ok()?;
            Some((values.get(number)?, rest))
        });
        match value {
            Some((value, rest)) => filled += &format!("{value}{rest}"),
            None => filled += &format!("{{{part}"),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_environment_says_which_language() {
        let of = |variables: [(&str, &str); 3]| Language::of(&Environment::from(variables));
        let all = |lc_all, messages, lang| {
            of([
                ("LC_ALL", lc_all),
                ("LC_MESSAGES", messages),
                ("LANG", lang),
            ])
        };
        for japanese in ["ja", "ja_JP", "ja_JP.UTF-8", "ja_JP.eucJP", "ja@x"] {
            assert_eq!(all("", "", japanese), Language::Japanese, "{japanese}");
        }
        for other in [
            "",
            "C",
            "C.UTF-8",
            "POSIX",
            "en_US.UTF-8",
            "jam_JM",
            "japanese",
        ] {
            assert_eq!(all("", "", other), Language::English, "{other}");
        }
        assert_eq!(all("C", "ja_JP.UTF-8", "ja_JP.UTF-8"), Language::English);
        assert_eq!(all("", "ja_JP.UTF-8", "C"), Language::Japanese);
        assert_eq!(Language::of(&Environment::default()), Language::English);
    }

    /// The places of a text, such as `{0}` and `{1}`.
    fn places(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn both_languages_say_the_same_things_and_japanese_is_japanese() {
        for (english, japanese) in TABLE {
            assert_eq!(places(english), places(japanese), "{english}");
            let is_japanese = |c: char| c > '\u{3000}';
            assert!(english.is_ascii(), "{english}");
            assert!(
                japanese.chars().any(is_japanese) || *japanese == "[{0}] {1}: {2}",
                "{japanese}"
            );
        }
    }

    #[test]
    fn what_is_filled_in_is_taken_as_it_is() {
        assert_eq!(fill("{1} of {0}", &[&"{1}", &2]), "2 of {1}");
        assert_eq!(fill("no place", &[&1]), "no place");
        assert_eq!(fill("{9} {x", &[&1]), "{9} {x");
    }
}
