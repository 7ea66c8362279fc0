//! Digital groups that spread sexual content among pupils: many small ones, and the one that spreads over eight schools.

use satgas_proto::v1::{self, ContentKind, Platform, submission::Content};

use super::{
    super::{
        cast::{Cast, Home, School, Team},
        dice::Dice,
        year::{DAYS, Minute, Slot},
    },
    Answer, Arrival, Book, cases, fate,
};

const STREAM: u64 = 3;
const GROUP_STREAM: u64 = 4;
/// In a thousand days, over the whole city.
const SIGNALS_PERMILLE: u32 = 350;
/// How many schools the group reaches.
pub(super) const GROUP_SCHOOLS: usize = 8;
/// The day on which it is first seen: 2026-05-04, recent enough to be warned of when the year is over.
const GROUP_FIRST_DAY: i32 = 307;

/// Writes the small groups.
pub(super) fn write(book: &mut Book, seed: u64, cast: &Cast, scale: u32) {
    let mut dice = Dice::new(seed, STREAM);
    for day in 0..DAYS {
        let count = (0..scale).filter(|_| dice.permille(SIGNALS_PERMILLE)).count();
        for _ in 0..count {
            let school = dice.pick(&cast.schools);
            let Some(team) = team_of(cast, school, day) else { continue };
            let fingerprint = dice.hash();
            let (record, arrival) = signal(book, &mut dice, team, day, &fingerprint, &school.id);
            fate::send(book, &mut dice, record, arrival);
        }
    }
}

/// Writes the group that spreads from school to school within six weeks, with the cases that come of it. Returns its fingerprint.
pub(super) fn write_group(book: &mut Book, seed: u64, cast: &Cast) -> String {
    let mut dice = Dice::new(seed, GROUP_STREAM);
    let fingerprint = dice.hash();
    let mut day = GROUP_FIRST_DAY;
    for (school, team) in group_schools(&mut dice, cast) {
        // The one signal that must not get lost on its way arrives as it is.
        let (record, arrival) = signal(book, &mut dice, team, day, &fingerprint, &school.id);
        book.record(arrival, record, Answer::Accepted);
        for _ in 0..dice.number(2..=4) {
            let reported = day + dice.number(0..=6);
            cases::exposed_child(book, &mut dice, &cast.offices, team, &school.id, reported);
        }
        day += dice.number(3..=5);
    }
    fingerprint
}

/// The schools that the group reaches, all over the city, each in another kelurahan whose task force is at work, with that task force.
fn group_schools<'a>(dice: &mut Dice, cast: &'a Cast) -> Vec<(&'a School, &'a Team)> {
    let mut one_of_each: Vec<(&School, &Team)> = Vec::new();
    for school in &cast.schools {
        if one_of_each.last().is_none_or(|(known, _)| known.area != school.area) {
            one_of_each.extend(team_of(cast, school, DAYS - 1).map(|team| (school, team)));
        }
    }
    dice.some(&one_of_each, GROUP_SCHOOLS)
}

fn team_of<'a>(cast: &'a Cast, school: &School, day: i32) -> Option<&'a Team> {
    cast.teams.iter().find(|team| team.home == Home::Area && team.area == school.area && team.works_on(day))
}

fn signal(
    book: &mut Book,
    dice: &mut Dice,
    team: &Team,
    day: i32,
    fingerprint: &str,
    school_id: &str,
) -> (v1::Submission, Arrival) {
    let at = Minute::on(day, dice.number(9 * 60..=20 * 60));
    let platforms = [Platform::Whatsapp, Platform::Whatsapp, Platform::Telegram, Platform::Instagram, Platform::Tiktok];
    let contents = [ContentKind::Gambar, ContentKind::Video, ContentKind::Tautan];
    let signal = v1::ExposureSignal {
        platform: (*dice.pick(&platforms)).into(),
        group_fingerprint: fingerprint.to_owned(),
        school_ids: vec![school_id.to_owned()],
        estimated_members: dice.number(12..=400),
        contents: dice.some(&contents, 2).into_iter().map(Into::into).collect(),
        evidence: vec![v1::Evidence {
            sha256: dice.hash(),
            media_type: "image/png".to_owned(),
            custody_place: format!("Unit Contoh, lemari bukti {}", dice.number(1..=40)),
            ..v1::Evidence::default()
        }],
    };
    let record = book.submission(dice, &team.device(2), team.reporter(), at, Content::ExposureSignal(signal));
    (record, Arrival { slot: Slot::at_or_after(at), in_batch: false })
}
