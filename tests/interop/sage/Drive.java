// The calls of standard input through Axis; answers as lines of status, message type, message, result.

import com.adonix.www.WSS.CAdxCallContext;
import com.adonix.www.WSS.CAdxMessage;
import com.adonix.www.WSS.CAdxParamKeyValue;
import com.adonix.www.WSS.CAdxResultXml;
import com.adonix.www.WSS.CAdxWebServiceXmlCC;
import com.adonix.www.WSS.CAdxWebServiceXmlCCServiceLocator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URL;

public class Drive {
    public static void main(String[] arguments) throws Exception {
        CAdxWebServiceXmlCC port = new CAdxWebServiceXmlCCServiceLocator()
            .getCAdxWebServiceXmlCC(new URL(System.getenv("X3_ENDPOINT")));
        org.apache.axis.client.Stub stub = (org.apache.axis.client.Stub) port;
        stub.setUsername(System.getenv("X3_USER"));
        stub.setPassword(System.getenv("X3_PASSWORD"));
        CAdxCallContext context = new CAdxCallContext();
        context.setCodeLang("ENG");
        context.setPoolAlias(System.getenv("X3_POOL"));
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String row; (row = in.readLine()) != null;) {
            String[] cells = row.split("\t", -1);
            CAdxResultXml told = call(port, context, cells);
            CAdxMessage[] messages = told.getMessages();
            CAdxMessage last = messages == null || messages.length == 0 ? null : messages[messages.length - 1];
            String result = told.getResultXml() == null ? "" : told.getResultXml();
            out.println(told.getStatus() + "\t" + (last == null ? "" : last.getType()) + "\t"
                + (last == null ? "" : last.getMessage()) + "\t" + result);
        }
    }

    static CAdxResultXml call(CAdxWebServiceXmlCC port, CAdxCallContext context, String[] cells) throws Exception {
        String name = cells[1], text = cells[4], more = cells[5];
        CAdxParamKeyValue pair = new CAdxParamKeyValue();
        pair.setKey(cells[2]);
        pair.setValue(cells[3]);
        CAdxParamKeyValue[] keys = { pair };
        switch (cells[0]) {
            case "run": return port.run(context, name, text);
            case "save": return port.save(context, name, text);
            case "read": return port.read(context, name, keys);
            case "delete": return port.delete(context, name, keys);
            case "query": return port.query(context, name, keys, Integer.parseInt(more));
            case "modify": return port.modify(context, name, keys, text);
            case "actionObject": return port.actionObject(context, name, more, text);
            case "actionObjectKeys": return port.actionObjectKeys(context, name, text, keys);
            case "insertLines": return port.insertLines(context, name, keys, text, "1", more);
            case "deleteLines": return port.deleteLines(context, name, keys, text, more.split(","));
            case "getDescription": return port.getDescription(context, name);
            case "getDataXmlSchema": return port.getDataXmlSchema(context, name);
            default: throw new IllegalArgumentException(cells[0]);
        }
    }
}
