//! A thumbnailer that Longrun starts, and pictures to try it on; the README beside it tells the story.
//!
//! Without arguments it is the program: it reads what to do from stdin, makes one thumbnail and prints where it is.
//! `paint FOLDER` and `mend FOLDER` are for the story.

use std::error::Error;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::{ImageFormat, ImageReader, Rgb, RgbImage};
use serde::Deserialize;
use serde_json::json;

const PICTURES: u32 = 20;
const WIDTH: u32 = 480;
const HEIGHT: u32 = 360;
/// Painted as if its download had broken off.
const BROKEN: &str = "picture-07.png";

/// No other attempt would help, `EX_DATAERR`.
const FOR_GOOD: u8 = 65;
/// Another attempt may help, `EX_TEMPFAIL`.
const FOR_NOW: u8 = 75;

/// The operation's input.
#[derive(Deserialize)]
struct Wanted {
    picture: PathBuf,
    folder: PathBuf,
    side: u32,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => thumbnail().map_err(|(status, error)| (status, error.to_string())),
        ["paint", folder] => paint(Path::new(folder)).map_err(|error| (1, error.to_string())),
        ["mend", folder] => {
            fs::write(Path::new(folder).join(BROKEN), png(7)).map_err(|error| (1, error.to_string()))
        }
        _ => Err((2, "usage: thumbnails [paint FOLDER | mend FOLDER]".to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => {
            eprintln!("{message}");
            status.into()
        }
    }
}

/// Makes the one thumbnail that stdin asks for.
fn thumbnail() -> Result<(), (u8, Box<dyn Error>)> {
    let for_good = |error: Box<dyn Error>| (FOR_GOOD, error);
    let for_now = |error: io::Error| (FOR_NOW, error.into());
    let wanted: Wanted = serde_json::from_reader(io::stdin()).map_err(|error| for_good(error.into()))?;
    let mut bytes = Vec::new();
    fs::File::open(&wanted.picture).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(for_now)?;
    eprintln!("percent=20 detail=decoding {} bytes", bytes.len());
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(for_now)?;
    let picture = reader.decode().map_err(|error| for_good(error.into()))?;
    eprintln!(
        "percent=60 detail=making {0} x {0} of {1} x {2}",
        wanted.side,
        picture.width(),
        picture.height()
    );
    let small = picture.thumbnail(wanted.side, wanted.side);
    fs::create_dir_all(&wanted.folder).map_err(for_now)?;
    let name = wanted.picture.file_stem().unwrap_or_default();
    let path = wanted.folder.join(name).with_extension("png");
    // Whole or not at all, however often it is made: an attempt may be repeated.
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    small.save_with_format(&unfinished, ImageFormat::Png).map_err(|error| for_good(error.into()))?;
    fs::rename(&unfinished, &path).map_err(for_now)?;
    println!("{}", json!({ "thumbnail": path, "width": small.width(), "height": small.height() }));
    Ok(())
}

/// Paints a folder of pictures, one of which is cut short.
fn paint(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for number in 1..=PICTURES {
        let path = folder.join(format!("picture-{number:02}.png"));
        let bytes = png(number);
        let whole = if path.ends_with(BROKEN) { bytes.len() / 2 } else { bytes.len() };
        fs::write(path, &bytes[..whole])?;
    }
    println!("{PICTURES} pictures in {}; {BROKEN} is cut short", folder.display());
    Ok(())
}

/// A picture of circles in colours that its number chooses.
fn png(number: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (across, down) = (x.abs_diff(WIDTH / 2), y.abs_diff(HEIGHT / 2));
        let ring = (across * across + down * down) / (100 + 40 * number);
        Rgb([ring, ring * number, x * number / 2 + y].map(|shade| shade.to_le_bytes()[0]))
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes whatever is written");
    bytes.into_inner()
}
