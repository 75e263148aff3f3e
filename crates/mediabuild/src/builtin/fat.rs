//! A FAT image with some files in it, the same bytes every time.

use std::io::{Cursor, Write as _};

use anyhow::{Context as _, Result, bail};

use buildexec::action::Call;
use buildplan::Product;
use failure::{Failure, Kind};

/// The largest image we make; FAT16 ends far above.
const LIMIT: u64 = 256 << 20;
/// Clusters of a FAT12, less a few: some firmware counts differently near the border to FAT16.
const CLUSTERS: u64 = 4000;
/// Places in the root folder, one a short name and up to three a long one; whole sectors.
const ROOT: u16 = 64;

/// The node's [`Product::Fat`], `to`.
///
/// # Errors
/// When a file cannot be read or the image cannot be written.
pub(super) fn image(call: &Call<'_>) -> Result<()> {
    let mut files = Vec::new();
    let Some(Product::Fat(parts)) = &call.node().product else {
        bail!("`{}` plans no FAT image", call.job.label());
    };
    for (path, content) in parts {
        files.push((path.as_str(), fs_err::read(call.job.text(content)?)?));
    }
    fs_err::write(call.out("to")?, bytes(&files)?)?;
    Ok(())
}

/// The image that has these files: pairs of a path and a content. It has the fewest clusters that hold them.
///
/// # Errors
/// When they are too large, or a path cannot be put into a FAT.
pub fn bytes(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let content: u64 = files.iter().map(|(_, c)| c.len() as u64).sum();
    // Sectors of a CD, unless FAT12 has not as many clusters.
    let cluster = (content / CLUSTERS).next_power_of_two().clamp(2048, 32 << 10);
    let needed: u64 =
        files.iter().map(|(_, c)| (c.len() as u64).div_ceil(cluster)).sum::<u64>() + folders(files);
    let mut clusters = needed.max(1);
    loop {
        let size = overhead(clusters) + clusters * cluster;
        if size > LIMIT {
            return Err(
                Failure::new(Kind::Input, format!("{size} bytes are too many for the UEFI image")).into()
            );
        }
        match of_size(files, size, u32::try_from(cluster)?) {
            // A folder may need more than one cluster for its names.
            Err(e) if is_full(&e) => clusters += 1,
            made => return made,
        }
    }
}

/// Boot sector, two tables of 12 or 16 bits a cluster, root folder; in whole sectors.
fn overhead(clusters: u64) -> u64 {
    let bits = if clusters < CLUSTERS { 12 } else { 16 };
    let table = ((clusters + 2) * bits).div_ceil(8).div_ceil(512);
    512 + 2 * table * 512 + u64::from(ROOT) * 32
}

/// Folders on the ways to the files.
fn folders(files: &[(&str, Vec<u8>)]) -> u64 {
    let above =
        |path: &str| path.match_indices('/').map(|(end, _)| path[..end].to_lowercase()).collect::<Vec<_>>();
    files.iter().flat_map(|(path, _)| above(path)).collect::<std::collections::BTreeSet<_>>().len() as u64
}

fn is_full(e: &anyhow::Error) -> bool {
    e.chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|e| e.to_string().contains("No space left"))
}

fn of_size(files: &[(&str, Vec<u8>)], size: u64, cluster: u32) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(vec![0; usize::try_from(size)?]);
    let format = fatfs::FormatVolumeOptions::new()
        .volume_label(*b"EFI        ")
        .bytes_per_cluster(cluster)
        .max_root_dir_entries(ROOT);
    fatfs::format_volume(&mut bytes, format)?;
    let options = fatfs::FsOptions::new().time_provider(&FixedClock).update_accessed_date(false);
    {
        let fs = fatfs::FileSystem::new(&mut bytes, options)?;
        for (path, content) in files {
            add(&fs, path, content).with_context(|| format!("cannot write {path} into the UEFI image"))?;
        }
        fs.unmount()?;
    }
    Ok(bytes.into_inner())
}

type Fs<'a> = fatfs::FileSystem<&'a mut Cursor<Vec<u8>>>;

fn add(fs: &Fs<'_>, path: &str, content: &[u8]) -> std::io::Result<()> {
    let root = fs.root_dir();
    for (end, _) in path.match_indices('/') {
        root.create_dir(&path[..end])?;
    }
    let mut file = root.create_file(path)?;
    file.truncate()?;
    file.write_all(content)
}

/// A clock that does not move, at the first day FAT knows.
#[derive(Debug)]
struct FixedClock;

impl fatfs::TimeProvider for FixedClock {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        fatfs::DateTime {
            date: self.get_current_date(),
            time: fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(image: &[u8], path: &str) -> Vec<u8> {
        use std::io::Read as _;
        let fs = fatfs::FileSystem::new(Cursor::new(image.to_vec()), fatfs::FsOptions::new()).unwrap();
        let mut bytes = Vec::new();
        fs.root_dir().open_file(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_image_holds_its_files_and_nothing_that_nobody_needs() {
        for length in [0, 1, 2048, 2049, 700_000, 8_300_000, 40_000_000] {
            let files = [
                ("EFI/BOOT/BOOTX64.EFI", vec![1; length]),
                ("EFI/BOOT/a name that is long.efi", vec![2; 5000]),
                ("autoexec.ipxe", vec![3; 100]),
            ];
            let image = bytes(&files).unwrap();
            for (path, content) in &files {
                assert!(read(&image, path) == *content, "{path} of {length}");
            }
            let cluster =
                fatfs::FileSystem::new(Cursor::new(image.clone()), fatfs::FsOptions::new()).unwrap();
            let (cluster, free) =
                (u64::from(cluster.cluster_size()), cluster.stats().unwrap().free_clusters());
            assert!(free <= 1, "{length}: {free} clusters are free");
            let content: u64 = files.iter().map(|(_, c)| (c.len() as u64).next_multiple_of(cluster)).sum();
            let rest = image.len() as u64 - content;
            assert!(rest < 16_000 + 4 * cluster, "{length}: {rest} bytes are not content");
        }
    }

    #[test]
    fn many_names_in_one_folder_need_more_clusters_and_get_them() {
        let names: Vec<String> = (0..200).map(|n| format!("EFI/BOOT/a long name, number {n}.efi")).collect();
        let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![7; 10])).collect();
        let image = bytes(&files).unwrap();
        assert!(names.iter().all(|name| read(&image, name) == [7; 10]));
    }

    #[test]
    fn what_no_firmware_would_read_is_refused() {
        let error = bytes(&[("EFI/x", vec![0; (LIMIT + 1) as usize])]).unwrap_err();
        assert!(error.to_string().ends_with("bytes are too many for the UEFI image"), "{error}");
    }
}
