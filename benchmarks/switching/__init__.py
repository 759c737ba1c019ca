"""How quickly a face follows a click: somebody else on stage, in the same slot, without SDP."""
