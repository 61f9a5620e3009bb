"""Trains the video renderer: pictures and their motion in, a `renderer.diffusion.model.VideoModel` out."""
