"""Is a gallery whole: `verifying`, `repairing`. Is somebody gone: `proving`, by the `traces` in files and `pages`."""
