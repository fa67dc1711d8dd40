//! The table of C functions through which SQLite meets [`disk`]. Database, journal and log of every connection come by;
//! reads, locks and shared memory go straight to the system's own files below.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rusqlite::ffi;

use crate::disk;

const NAME: &CStr = c"powerloss";
/// The files of which something may be lost.
const KEPT: c_int = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// Stands in for the C library's own in the whole test: what the server syncs beside SQLite, its directory above all, is
/// noticed, too. Nothing is really synced: the machine that this runs on keeps its power.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    if let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{file}")) {
        disk::directory_synced(&path);
    }
    0
}

/// A file of ours; that of the system stands right behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Made by its opening, taken by its closing.
    path: *mut PathBuf,
    is_log: bool,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without xFetch: nothing is written past this layer.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes it what SQLite opens files with.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the system's table lives for ever and is copied; ours is leaked, and so lives for ever, too.
        let registered = unsafe {
            let system = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut ours = Box::new(*system);
            ours.zName = NAME.as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.szOsFile += c_int::try_from(size_of::<File>()).expect("a small structure");
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::into_raw(ours), 1)
        };
        assert_eq!(registered, ffi::SQLITE_OK);
    });
}

/// The system's own table: the one that stood first before ours did.
fn system() -> *mut ffi::sqlite3_vfs {
    // SAFETY: a name that lives for ever; on this system there always is one of it.
    unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) }
}

/// SAFETY: `name` is a path that SQLite made: a C string, or null.
unsafe fn path(name: *const c_char) -> PathBuf {
    // SAFETY: see above.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

/// SAFETY, here and below: SQLite calls with a file that `open` made, and does not while it is being closed.
unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` has room for both.
    unsafe { file.cast::<u8>().add(size_of::<File>()).cast() }
}

unsafe fn of<'f>(file: *mut ffi::sqlite3_file) -> (&'f Path, bool) {
    // SAFETY: see `below`.
    let file = unsafe { &*file.cast::<File>() };
    // SAFETY: it is there until the file is closed.
    (unsafe { &*file.path }, file.is_log)
}

/// Calls the same function of the file below.
macro_rules! pass {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {
        // SAFETY: see `below`; the system's files have every function of version 2.
        unsafe {
            let below = below($file);
            (*(*below).pMethods).$method.expect("a function of version 2")(below $(, $argument)*)
        }
    };
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let system = system();
    // SAFETY: SQLite gives `szOsFile` bytes, enough for either; a temporary file is only the system's.
    unsafe {
        let open = (*system).xOpen.expect("every table opens files");
        if flags & KEPT == 0 || name.is_null() {
            return open(system, name, file, flags, out);
        }
        let path = path(name);
        disk::opened(&path);
        (*file).pMethods = std::ptr::null();
        let code = open(system, name, below(file), flags, out);
        if code == ffi::SQLITE_OK {
            let is_log = flags & ffi::SQLITE_OPEN_WAL != 0;
            let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
            file.cast::<File>().write(File { base, path: Box::into_raw(Box::new(path)), is_log });
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let system = system();
    // SAFETY: a path of SQLite's own.
    let path = unsafe { path(name) };
    // SAFETY: the same call, of the system's table.
    disk::delete(&path, sync != 0, || unsafe {
        (*system).xDelete.expect("every table deletes files")(system, name, sync)
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = pass!(file.xClose());
    // SAFETY: made by `open`, and this is the last call for it.
    unsafe { drop(Box::from_raw((*file.cast::<File>()).path)) };
    code
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, amount: c_int, at: i64) -> c_int {
    pass!(file.xRead(into, amount, at))
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite gives so many bytes.
    let (data, (path, _)) =
        unsafe { (std::slice::from_raw_parts(from.cast::<u8>(), amount.unsigned_abs() as usize), of(file)) };
    disk::write(path, usize::try_from(at).unwrap_or(0), data, || pass!(file.xWrite(from, amount, at)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: see `below`.
    let (path, _) = unsafe { of(file) };
    disk::truncate(path, usize::try_from(size).unwrap_or(0), || pass!(file.xTruncate(size)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: see `below`.
    let (path, is_log) = unsafe { of(file) };
    disk::sync(path, is_log)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    pass!(file.xFileSize(size))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file.xLock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file.xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    pass!(file.xCheckReservedLock(reserved))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    pass!(file.xFileControl(op, argument))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file.xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    pass!(file.xShmMap(page, size, extend, out))
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    pass!(file.xShmLock(offset, n, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    pass!(file.xShmBarrier());
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    pass!(file.xShmUnmap(delete))
}
