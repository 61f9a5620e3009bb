"""Drawing somewhere else: motion comes over the network, and the picture is made here (docs/remote.md).

link (WebRTC) ──► playout (order, time, gaps) ──► source (a scheduler for the server) ──► pipeline as ever
"""
