// A viewer for measurements: watches by WHEP and reads the stamp of every picture (stream/bench/stamp.py).
// Enters: a path. Leaves: [bits, received, shown] of each picture, times of performance.now().
(() => {
  const CELL = 8;
  const BITS = 64;
  const seen = [];
  let pc, session;

  window.watch = async (path) => {
    pc = new RTCPeerConnection();
    const video = document.createElement("video");
    video.muted = true;
    document.body.replaceChildren(video);
    const { receiver } = pc.addTransceiver("video", { direction: "recvonly" });
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    video.srcObject = new MediaStream([receiver.track]);
    const canvas = new OffscreenCanvas(BITS * CELL, BITS * CELL);
    const context = canvas.getContext("2d", { willReadFrequently: true });

    const look = (now, frame) => {
      const columns = Math.min(BITS, Math.floor(video.videoWidth / CELL));
      const rows = Math.ceil(BITS / columns);
      const [width, height] = [columns * CELL, rows * CELL];
      context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
      const { data } = context.getImageData(0, 0, width, height);
      let bits = "";
      for (let i = 0; i < BITS; i++) {
        const [x, y] = [(i % columns) * CELL + 2, Math.floor(i / columns) * CELL + 2];
        let sum = 0;
        for (let dy = 0; dy < 4; dy++) {
          for (let dx = 0; dx < 4; dx++) sum += data[4 * ((y + dy) * width + x + dx) + 1];
        }
        bits += sum / 16 > 128 ? "1" : "0";
      }
      seen.push([bits, frame.receiveTime ?? now, frame.presentationTime]);
      if (seen.length > 5000) seen.shift();
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);

    await pc.setLocalDescription();
    await new Promise((resolve) => {
      if (pc.iceGatheringState === "complete") resolve();
      pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
      setTimeout(resolve, 1500);
    });
    const headers = { "Content-Type": "application/sdp" };
    const response = await fetch(path, { method: "POST", headers, body: pc.localDescription.sdp });
    if (!response.ok) throw new Error(await response.text());
    session = response.headers.get("Location");
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await video.play();
  };
  window.taken = () => seen.splice(0);
  window.leave = async () => {
    await fetch(session, { method: "DELETE" });
    pc.close();
  };
})();
