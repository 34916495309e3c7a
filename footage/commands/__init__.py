"""The commands of footage, one file each; they exchange data through files, never by imports."""
