"""What a join costs the media node in SDP: an offer parsed and answered, beside aiortc's parser."""
