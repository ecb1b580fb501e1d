(function () {
  "use strict";
  var box = document.currentScript.parentElement;
  var table = box.querySelector("table"), find = box.querySelector("input"), kind = box.querySelector("select"),
      found = box.querySelector("[role=status]");
  var body = table.tBodies[0], rows = Array.from(body.rows);
  var words = rows.map(function (row) { return row.textContent.toLowerCase(); });
  function show() {
    var wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean), count = 0;
    rows.forEach(function (row, index) {
      var fits = (!kind.value || row.dataset.kind === kind.value) &&
        wanted.every(function (word) { return words[index].includes(word); });
      row.hidden = !fits;
      if (fits) { count += 1; }
    });
    found.textContent = count + (count === 1 ? " row" : " rows");
  }
  function cell(row, column) { return row.cells[column].textContent; }
  Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending";
      Array.from(table.tHead.rows[0].cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      Array.from(body.rows).sort(function (one, other) {
        var a = cell(one, column), b = cell(other, column);
        var order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
  find.addEventListener("input", show);
  kind.addEventListener("change", show);
  box.querySelector(".find").hidden = false;
  show();
})();
