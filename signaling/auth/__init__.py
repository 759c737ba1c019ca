"""Who may come in: access tokens, and the API keys that sign them.

Here live the making and checking of tokens and the file of keys; nothing here knows lessons'
states, HTTP or WebSockets, and nothing here keeps time: `now` is always passed in.
"""
