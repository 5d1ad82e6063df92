"""Stories: a Proxmox team's daily life and disasters, each a folder, played in no time."""
