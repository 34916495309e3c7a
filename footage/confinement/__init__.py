"""Running code on untrusted bytes where it can do no harm, whatever the bytes make it do."""
