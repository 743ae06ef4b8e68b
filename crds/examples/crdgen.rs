//! Writes the CRD to where it is committed.
//!
//! An example and not a binary of the crate, so that nothing ships it; it writes the file itself, because a
//! shell redirection would empty it when the build fails.

use std::error::Error;

use moorline_crds::yaml;

fn main() -> Result<(), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/websocketroutes.moorline.dev.yaml");
    std::fs::write(path, yaml::crd()?)?;
    Ok(())
}
