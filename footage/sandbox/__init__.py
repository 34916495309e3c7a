"""Run code on untrusted bytes in a process that can do no harm, even if the bytes exploit it."""
