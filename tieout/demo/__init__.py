"""`tieout demo`: a month end between SAP and QuickBooks, told from the first sync to the last explained cent."""

# story
