//! Records as people read them: rows under a heading, columns as wide as their content, sizes with
//! units.

use std::io::{self, Write};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::human::{human_duration, human_size};
use crate::record::{
    Accepted, Alarm, AlarmLevel, Artifact, Begin, Check, CheckStatus, End, EndStatus, ErrorRecord,
    MailboxChanges, Message, PlannedPush, PruneOutcome, Pruned, Record, Restored, StoredSet,
    Transfer, TransferAction, Usage, Verdict, VerdictStatus,
};
use crate::text::printable;

/// How many rows of one kind are held back to size their columns; more come in another table.
const MAX_ROWS: usize = 500;

/// Blanks between two columns.
const GAP: usize = 2;

/// A column is cut no further: what is left tells nothing.
const ELASTIC_MIN: usize = 8;

/// Collects records of one kind, and writes them as a table once another kind comes.
#[derive(Debug)]
pub(super) struct Table<W> {
    output: W,
    /// How wide a row may be, where it is shown on a terminal.
    columns: Option<usize>,
    heading: &'static [Column],
    rows: Vec<Vec<String>>,
}

/// The heading of a column, and the side on which its cells are padded.
#[derive(Clone, Copy, Debug)]
enum Column {
    Text(&'static str),
    Number(&'static str),
    /// A text that is cut where a row is wider than the terminal.
    Elastic(&'static str),
}

impl<W: Write> Table<W> {
    pub(super) fn new(output: W, columns: Option<usize>) -> Self {
        Self {
            output,
            columns,
            heading: &[],
            rows: Vec::new(),
        }
    }

    /// Adds a record; it may not be seen before [`Table::flush`].
    pub(super) fn add(&mut self, record: &Record) -> io::Result<()> {
        match row(record) {
            Row::Cells(heading, cells) => self.add_row(heading, &cells),
            Row::Sentence(text) => {
                self.flush()?;
                writeln!(self.output, "{}", printable(&text))?;
                self.output.flush()
            }
            Row::Nothing => Ok(()),
        }
    }

    /// Writes what is held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let text = layout(self.heading, &fitted(self.heading, rows, self.columns));
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }

    fn add_row(&mut self, heading: &'static [Column], cells: &[String]) -> io::Result<()> {
        if !std::ptr::eq(self.heading, heading) || self.rows.len() >= MAX_ROWS {
            self.flush()?;
        }
        self.heading = heading;
        self.rows
            .push(cells.iter().map(|cell| printable(cell)).collect());
        Ok(())
    }
}

/// How a record is shown.
enum Row {
    Cells(&'static [Column], Vec<String>),
    Sentence(String),
    /// It is on stderr already.
    Nothing,
}

static ARTIFACT: [Column; 6] = [
    Column::Text("COMPONENT"),
    Column::Number("SIZE"),
    Column::Number("SOURCE"),
    Column::Number("ENTRIES"),
    Column::Text("HOW"),
    Column::Text("PATH"),
];
static VERDICT: [Column; 3] = [
    Column::Text("VERDICT"),
    Column::Text("FOUND"),
    Column::Text("PATH"),
];
static TRANSFER: [Column; 4] = [
    Column::Text("ACTION"),
    Column::Number("SIZE"),
    Column::Text("PATH"),
    Column::Text("URL"),
];
static RESTORED: [Column; 5] = [
    Column::Text("COMPONENT"),
    Column::Number("SIZE"),
    Column::Number("ENTRIES"),
    Column::Text("PATH"),
    Column::Text("TARGET"),
];
static MESSAGE: [Column; 7] = [
    Column::Text("DELIVERED"),
    Column::Elastic("MAILBOX"),
    Column::Elastic("FROM"),
    Column::Elastic("SUBJECT"),
    Column::Number("SIZE"),
    Column::Text("LAST SET"),
    Column::Text("NOW"),
];
static SET: [Column; 7] = [
    Column::Text("SET"),
    Column::Text("STATUS"),
    Column::Number("OBJECTS"),
    Column::Number("SIZE"),
    Column::Number("ITS ALONE"),
    Column::Number("AGE"),
    Column::Text("LOCKED UNTIL"),
];
static USAGE: [Column; 4] = [
    Column::Number("OBJECTS"),
    Column::Number("SIZE"),
    Column::Number("USD/MONTH"),
    Column::Text("URL"),
];
static PLAN: [Column; 7] = [
    Column::Text("SET"),
    Column::Number("TO SEND"),
    Column::Number("TO COPY"),
    Column::Number("THERE"),
    Column::Number("USD"),
    Column::Number("USD/MONTH NOW"),
    Column::Number("AND AFTER"),
];
static PRUNED: [Column; 5] = [
    Column::Text("OUTCOME"),
    Column::Text("SET"),
    Column::Number("OBJECTS"),
    Column::Number("SIZE"),
    Column::Text("LOCKED UNTIL"),
];
static CHECK: [Column; 4] = [
    Column::Text("STATUS"),
    Column::Text("CHECK"),
    Column::Text("TARGET"),
    Column::Text("MESSAGE"),
];
static MAILBOX: [Column; 7] = [
    Column::Text("MAILBOX"),
    Column::Number("BEFORE"),
    Column::Number("NEW"),
    Column::Number("RENAMED"),
    Column::Number("VANISHED"),
    Column::Number("REPLACED"),
    Column::Number("HEADLESS"),
];
static ALARM: [Column; 4] = [
    Column::Text("LEVEL"),
    Column::Text("RULE"),
    Column::Text("SET"),
    Column::Text("MESSAGE"),
];

fn row(record: &Record) -> Row {
    match record {
        Record::Begin(begin) => Row::Sentence(begin_sentence(begin)),
        Record::Artifact(artifact) => Row::Cells(&ARTIFACT, artifact_cells(artifact)),
        Record::Verdict(verdict) => Row::Cells(&VERDICT, verdict_cells(verdict)),
        Record::Transfer(transfer) => Row::Cells(&TRANSFER, transfer_cells(transfer)),
        Record::Restored(restored) => Row::Cells(&RESTORED, restored_cells(restored)),
        Record::Message(message) => Row::Cells(&MESSAGE, message_cells(message)),
        Record::Set(set) => Row::Cells(&SET, set_cells(set)),
        Record::Pruned(pruned) => Row::Cells(&PRUNED, pruned_cells(pruned)),
        Record::Usage(usage) => Row::Cells(&USAGE, usage_cells(usage)),
        Record::Plan(plan) => Row::Cells(&PLAN, plan_cells(plan)),
        Record::Check(check) => Row::Cells(&CHECK, check_cells(check)),
        Record::Mailbox(mailbox) => Row::Cells(&MAILBOX, mailbox_cells(mailbox)),
        Record::Alarm(alarm) => Row::Cells(&ALARM, alarm_cells(alarm)),
        Record::Accepted(accepted) => Row::Sentence(accepted_sentence(accepted)),
        // The sums are in the totals; what is watched is for the runs to come.
        Record::Changes(_)
        | Record::Canary(_)
        | Record::Database(_)
        | Record::Watched(_)
        | Record::Warning(_)
        | Record::Error(ErrorRecord { .. }) => Row::Nothing,
        Record::End(end) => Row::Sentence(end_sentence(end)),
    }
}

fn begin_sentence(begin: &Begin) -> String {
    let mut text = format!(
        "{} {} on {}, {}",
        begin.tool, begin.version, begin.host, begin.time
    );
    match (&begin.root, &begin.set) {
        (Some(root), Some(set)) => text.push_str(&format!(": {root}/{set}")),
        (Some(root), None) => text.push_str(&format!(": {root}")),
        (None, Some(set)) => text.push_str(&format!(": {set}")),
        (None, None) => {}
    }
    text
}

fn end_sentence(end: &End) -> String {
    let status = match end.status {
        EndStatus::Ok => "ok",
        EndStatus::Bad => "bad",
        EndStatus::Incomplete => "incomplete",
    };
    let mut text = format!(
        "{}: {status} (exit {}) in {:.1} s",
        end.tool, end.exit, end.seconds
    );
    for (name, count) in &end.totals {
        let count = if name.ends_with("bytes") {
            human_size(*count)
        } else {
            count.to_string()
        };
        text.push_str(&format!(", {name} {count}"));
    }
    text
}

fn artifact_cells(artifact: &Artifact) -> Vec<String> {
    vec![
        artifact.component.to_string(),
        human_size(artifact.bytes),
        human_size(artifact.source_bytes),
        artifact.entries.to_string(),
        if artifact.reused { "reused" } else { "new" }.to_owned(),
        artifact.path.path.clone(),
    ]
}

fn verdict_cells(verdict: &Verdict) -> Vec<String> {
    let status = match verdict.status {
        VerdictStatus::Clean => "clean",
        VerdictStatus::Infected => "INFECTED",
        VerdictStatus::Unscanned => "UNSCANNED",
    };
    let found = verdict
        .signature
        .as_ref()
        .or(verdict.reason.as_ref())
        .cloned()
        .unwrap_or_default();
    let path = match &verdict.member {
        Some(member) => format!("{}: {member}", verdict.path.path),
        None => verdict.path.path.clone(),
    };
    vec![status.to_owned(), found, path]
}

fn transfer_cells(transfer: &Transfer) -> Vec<String> {
    let action = match transfer.action {
        TransferAction::Uploaded => "uploaded",
        TransferAction::Copied => "copied",
        TransferAction::Skipped => "skipped",
        TransferAction::Downloaded => "downloaded",
    };
    vec![
        action.to_owned(),
        human_size(transfer.bytes),
        transfer.path.path.clone(),
        transfer.url.clone(),
    ]
}

fn restored_cells(restored: &Restored) -> Vec<String> {
    let target = if restored.dry_run {
        format!("{} (dry run)", restored.target)
    } else {
        restored.target.clone()
    };
    vec![
        restored.component.to_string(),
        human_size(restored.bytes),
        restored.entries.to_string(),
        restored.path.path.clone(),
        target,
    ]
}

fn message_cells(message: &Message) -> Vec<String> {
    let now = match message.live {
        Some(true) => "live",
        Some(false) => "gone",
        None => "?",
    };
    let minutes = message.delivered.get(.."2026-11-23T03:00".len());
    let minutes = minutes.unwrap_or(&message.delivered).replace('T', " ");
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    vec![
        minutes,
        message.mailbox.clone(),
        text(&message.from),
        text(&message.subject),
        human_size(message.bytes),
        message.last_set.clone(),
        now.to_owned(),
    ]
}

fn set_cells(set: &StoredSet) -> Vec<String> {
    let status = match (set.complete, set.encrypted) {
        (true, true) => "complete, encrypted",
        (true, false) => "complete",
        (false, _) => "NOT COMPLETE",
    };
    vec![
        set.set.clone(),
        status.to_owned(),
        set.objects.to_string(),
        human_size(set.bytes),
        set.own_bytes.map_or_else(|| "-".to_owned(), human_size),
        human_duration(Duration::from_secs(set.age_seconds)),
        set.locked_until.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn pruned_cells(pruned: &Pruned) -> Vec<String> {
    let outcome = match pruned.outcome {
        PruneOutcome::Due => "would go",
        PruneOutcome::Removed => "removed",
        PruneOutcome::Newest => "kept, one of the newest",
        PruneOutcome::Held => "kept for an alarm",
        PruneOutcome::Locked => "locked",
        PruneOutcome::Failed => "NOT REMOVED",
    };
    vec![
        outcome.to_owned(),
        pruned.set.clone().unwrap_or_else(|| "(pool)".to_owned()),
        pruned.objects.to_string(),
        human_size(pruned.bytes),
        pruned
            .locked_until
            .clone()
            .unwrap_or_else(|| "-".to_owned()),
    ]
}

fn usage_cells(usage: &Usage) -> Vec<String> {
    vec![
        usage.objects.to_string(),
        human_size(usage.bytes),
        usage.price(),
        usage.url.clone(),
    ]
}

fn plan_cells(plan: &PlannedPush) -> Vec<String> {
    let usd = |usd: Option<f64>, digits: usize| {
        usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{usd:.digits$}"))
    };
    vec![
        plan.set.clone(),
        human_size(plan.send.bytes),
        human_size(plan.copy.bytes),
        human_size(plan.skip.bytes),
        usd(plan.usd, 4),
        usd(plan.monthly_usd_now, 2),
        usd(plan.monthly_usd_after, 2),
    ]
}

fn check_cells(check: &Check) -> Vec<String> {
    let status = match check.status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warning => "WARNING",
        CheckStatus::Critical => "CRITICAL",
        CheckStatus::Unknown => "UNKNOWN",
    };
    vec![
        status.to_owned(),
        check.name.clone(),
        check.target.clone(),
        check.message.clone(),
    ]
}

/// The rows with their elastic cells cut, so that each fits into `columns`: the widest column gives
/// way first.
fn fitted(
    heading: &[Column],
    mut rows: Vec<Vec<String>>,
    columns: Option<usize>,
) -> Vec<Vec<String>> {
    let Some(columns) = columns else { return rows };
    let mut widths = widths(heading, &rows);
    let gaps = GAP * heading.len().saturating_sub(1);
    let elastic: Vec<usize> = (0..heading.len())
        .filter(|&i| matches!(heading[i], Column::Elastic(_)))
        .collect();
    while widths.iter().sum::<usize>() + gaps > columns {
        let widest = elastic.iter().copied().max_by_key(|&i| widths[i]);
        match widest.filter(|&i| widths[i] > ELASTIC_MIN) {
            Some(i) => widths[i] -= 1,
            None => break,
        }
    }
    for row in &mut rows {
        for &i in &elastic {
            row[i] = cut(&row[i], widths[i]);
        }
    }
    rows
}

/// `cell` in at most `width` columns.
fn cut(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let mut short = String::new();
    for character in cell.chars() {
        short.push(character);
        if short.width() >= width {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

fn widths(heading: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let of_column = |i: usize| {
        let cells = rows.iter().map(|row| row[i].width());
        cells.chain([heading[i].title().width()]).max().unwrap_or(0)
    };
    (0..heading.len()).map(of_column).collect()
}

fn mailbox_cells(mailbox: &MailboxChanges) -> Vec<String> {
    let messages = &mailbox.messages;
    let numbers = [
        messages.before,
        messages.new,
        messages.renamed,
        messages.vanished,
        messages.replaced,
        messages.headless,
    ];
    let name = [mailbox.mailbox.clone()].into_iter();
    name.chain(numbers.map(|number| number.to_string()))
        .collect()
}

fn alarm_cells(alarm: &Alarm) -> Vec<String> {
    let level = match alarm.level {
        AlarmLevel::Notable => "notable",
        AlarmLevel::Alarm => "ALARM",
    };
    vec![
        level.to_owned(),
        alarm.rule.clone(),
        alarm.set.clone(),
        alarm.message.clone(),
    ]
}

fn accepted_sentence(accepted: &Accepted) -> String {
    let rules: Vec<String> = accepted
        .alarms
        .iter()
        .map(|alarm| format!("{} {}", alarm.set, alarm.rule))
        .collect();
    let reason = match accepted.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!(
        "accepted {} by {}{reason}: {}",
        accepted.time,
        accepted.user,
        rules.join(", ")
    )
}

fn layout(heading: &[Column], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = heading
        .iter()
        .map(|column| column.title().to_owned())
        .collect();
    let widths = widths(heading, rows);
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<String> = heading
            .iter()
            .zip(row)
            .zip(&widths)
            .map(|((column, cell), &width)| column.pad(cell, width))
            .collect();
        text.push_str(cells.join(&" ".repeat(GAP)).trim_end());
        text.push('\n');
    }
    text
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) | Self::Elastic(title) => title,
        }
    }

    /// `cell` in that many columns of a terminal; the formatter would count characters.
    fn pad(self, cell: &str, width: usize) -> String {
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        match self {
            Self::Text(_) | Self::Elastic(_) => format!("{cell}{blanks}"),
            Self::Number(_) => format!("{blanks}{cell}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sha256;
    use crate::relpath::PathField;
    use crate::set::Component;

    fn artifact(path: &str, bytes: u64, component: Component) -> Record {
        Record::Artifact(Artifact {
            root: "/b".into(),
            set: "daily/2026-11-23".into(),
            component,
            path: PathField {
                path: path.into(),
                path_b64: None,
            },
            bytes,
            sha256: Sha256::of(b""),
            entries: 12,
            source_bytes: 2 * bytes,
            reused: bytes > 1000,
            excluded: 0,
        })
    }

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let mut output = Vec::new();
        let mut table = Table::new(&mut output, None);
        table
            .add(&artifact("mysql/a.sql.zst", 900, Component::Mysql))
            .unwrap();
        table
            .add(&artifact(
                "mailboxes/a\u{7}/0001",
                2048,
                Component::Mailboxes,
            ))
            .unwrap();
        table
            .add(&Record::End(End {
                tool: "mail-backup".into(),
                status: EndStatus::Ok,
                exit: 0,
                seconds: 2.04,
                totals: [("artifacts".to_owned(), 2), ("bytes".to_owned(), 2948)].into(),
            }))
            .unwrap();
        let expected = "\
COMPONENT     SIZE   SOURCE  ENTRIES  HOW     PATH
mysql        900 B  1.8 KiB       12  new     mysql/a.sql.zst
mailboxes  2.0 KiB  4.0 KiB       12  reused  mailboxes/a\\u{7}/0001
mail-backup: ok (exit 0) in 2.0 s, artifacts 2, bytes 2.9 KiB
";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    /// On a terminal of 60 columns; a wide character is not cut in two.
    #[test]
    fn a_row_is_cut_to_the_width_of_the_terminal() {
        let titles = [
            Column::Text("DATE"),
            Column::Elastic("FROM"),
            Column::Elastic("SUBJECT"),
            Column::Number("SIZE"),
        ];
        let rows = [
            [
                "1",
                "取引先 <buyer@customer.example.com>",
                "御見積書の件について",
                "1 B",
            ],
            ["2", "a", "b", "22 B"],
        ];
        let rows: Vec<Vec<String>> = rows.map(|row| row.map(str::to_owned).to_vec()).into();
        let check = |columns: Option<usize>, expected: &str| {
            let text = layout(&titles, &fitted(&titles, rows.clone(), columns));
            assert_eq!(text, expected, "{columns:?}");
        };
        let whole = "\
DATE  FROM                                 SUBJECT               SIZE
1     取引先 <buyer@customer.example.com>  御見積書の件について   1 B
2     a                                    b                     22 B
";
        check(None, whole);
        check(Some(69), whole);
        check(
            Some(40),
            "\
DATE  FROM           SUBJECT        SIZE
1     取引先 <buye…  御見積書の件…   1 B
2     a              b              22 B
",
        );
    }

    #[test]
    fn columns_of_japanese_names_line_up() {
        let titles = [Column::Text("FOUND"), Column::Text("PATH")];
        let rows = [["受信箱", "a"], ["e\u{301}", "b"], ["latin1", "c"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        // Three wide characters, one with a mark on it, six narrow ones.
        let expected = "FOUND   PATH\n受信箱  a\ne\u{301}       b\nlatin1  c\n";
        assert_eq!(layout(&titles, &rows), expected);
    }
}
