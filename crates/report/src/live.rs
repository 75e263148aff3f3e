//! A block of lines at the bottom of a terminal that is written over in place.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Lines kept free for what scrolls above.
const ABOVE: usize = 3;
/// Lines of a terminal that does not say how many it has.
const USUAL_HEIGHT: usize = 24;

#[derive(Default)]
pub(super) struct Block(Vec<ProgressBar>);

impl Block {
    /// Shows `lines` and nothing else; those that do not fit are counted in the last one.
    pub(super) fn set(&mut self, bars: &MultiProgress, lines: &[String]) {
        let room = height().saturating_sub(ABOVE).max(2);
        let mut lines = lines.to_vec();
        if lines.len() > room {
            let more = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.push(format!("… and {more} more"));
        }
        while self.0.len() > lines.len() {
            if let Some(bar) = self.0.pop() {
                bar.finish_and_clear();
                bars.remove(&bar);
            }
        }
        for (i, line) in lines.into_iter().enumerate() {
            if i == self.0.len() {
                let style = ProgressStyle::with_template("{wide_msg}").expect("the template is a literal");
                self.0.push(bars.add(ProgressBar::new_spinner().with_style(style)));
            }
            self.0[i].set_message(line);
            // Only a tick draws a spinner.
            self.0[i].tick();
        }
    }
}

fn height() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr()) {
        return if size.ws_row == 0 { USUAL_HEIGHT } else { usize::from(size.ws_row) };
    }
    USUAL_HEIGHT
}
